"""A synthetic world with a known truth: radiographs, DXA, clinical tables, a public set.

No public data pair chest radiographs with DXA. In this world every patient has a latent bone
score; it decides what the DXA reads, with noise, and how much bone the rays meet. Tests,
newcomers and comparisons of methods run on it. What holds here is no evidence about patients.

::

    from data_sharding.phantom.world import make_world
    make_world(Path("data/phantom"), internal=900, external=300, public=600)
    make_world(Path("data/li"), internal=700, external=250, south=250, public=0, osteoporosis=0.33)

What is physics: path lengths through bodies in space, tubes with shells and waisted boxes turned
with the patient; attenuation by Beer-Lambert over five energies with NIST's coefficients for
ICRU-44 tissues, so beams harden; quantum noise of Poisson's variance under automatic exposure
control; BMD from T by published young-adult references; DICOM objects that conform.

What is tuned: how population, age, sex and BMI set the latent (to OsPenScreen's Table 1); noise
of the DXA sites (to the ceiling); spectra, scatter, blur and makers' tone curves (to look like
radiographs, and to cost an external site some AUROC); and the effect of the latent on bone, 2.3
times nature's (`skeleton.SHELL_PER_T`), so that a small network learns it in a minute. The
thoracic bones carry the latent exactly; only the DXA is noisy. Laterals are crude.

Two worlds: as it is, a health check's people, of whom 6% have osteoporosis; with `osteoporosis`,
the people of a hospital that is referred to (Li et al. 2026), a third or so. `south`, a second
external hospital, has older people, more women, and makers and a tube voltage of its own. Bone is
drawn thinner down to a latent of -3.9 and no further; whoever is below it has osteoporosis.

Pixels are stored in 10 to 16 bits (`vendors`), 12 and 14 in asan. Whatever the size, every pixel
is drawn at its own place, nothing is enlarged but the body's outline and the trabeculae's grain.
But the anatomy is smooth and the detectors blur: between 0.7 and 1 line pairs a millimetre lies
less than a hundredth of the power between 0.3 and 0.7, so that pictures of 1536 pixels show
anatomy as those of 512 do, and beyond it the noise of quanta, as many in a pixel at any size.

The ceiling: because the label is a noisy reading, no model can pass an AUROC of about .95 (low bone
mass) to .97 (osteoporosis); age and sex alone reach about .67 to .80. ``world.json`` has them by
task, expected and for the patients at hand, with what age, sex and BMI can tell, alone and beside a
picture's reading of the latent that is off by so much (`ceiling`, `bayes`).

From patient to file: `stories` (who, when) -> `skeleton` + `softparts` -> `anatomy` (mm of each
tissue) -> `projection` (detector) -> `vendors` (grey) -> `rendering` -> `dicom_writer` or
`public` -> `hospital` (a patient's files) -> `world`.
"""
