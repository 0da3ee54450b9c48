"""A synthetic face study with a known truth: photographs, DXA, clinical tables, a consent.

One portrait in the public domain is warped, shaded and photographed anew for every patient. The
patient's latent bone score (the one their chest radiograph shows) changes it, region by region,
with known weights; age, sex and BMI change it besides. What holds here is no evidence about faces.
"""
