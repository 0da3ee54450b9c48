"""An evaluation at W&B: the keys it is logged under, and dashboards that lay them out.

    python -m eval track RUN...        one W&B run for each evaluated run, offline
    python -m eval dashboard RUN...    a workspace and a report for them, as JSON

Numbers, each with _lo and _hi beside it where there is an interval. The plain keys are of
the run's last model (the student where there is one), so that runs compare whatever they are made
of; every other model's have its name in them:

    eval/<cohort>/auroc                       and eval/<cohort>/<model>/auroc of the other models
        ap  sensitivity  specificity  ppv  npv  prevalence  called_positive  harrell_c
        brier  ece  slope  in_the_large       calibration
        patients  threshold  score_median  score_p25  score_p75      (no interval)
    drift/<cohort>/auroc                      there minus home; of the last model
        prevalence  called_positive  sensitivity  specificity  in_the_large  slope  ece
        scores                                chance that a score there is higher than at home
        distance                              of the two distributions of scores (no interval)
    gap/<cohort>/<by>/<level>/auroc           a group minus the rest; of the last model
        sensitivity  specificity
    gap/<cohort>/widest                       the largest AUROC gap of the cohort, without its sign

Tables, of every model, a line of the table's `line` column for each (its run and its name):

    eval/cohorts                              all of the above, a row for each cohort and model
    eval/drift                                a row for each cohort away from home and model
    eval/withheld                             what is not told, and why
    eval/<cohort>/roc          fpr, tpr: 101 points a line
    eval/<cohort>/pr           recall, precision: 100 points
    eval/<cohort>/calibration  predicted, observed, observed_lo, observed_hi: 10 bins at most
    eval/<cohort>/scores       low, high, share: 10 bins at most
    eval/<cohort>/subgroups    by, level, patients, AUROC, sensitivity, specificity, their gaps

Pictures: eval/<cohort>/gradcam, of phantoms as they are; of patients with --show-patients only, and
at 32 pixels a side, so that nothing burnt in can be read; of faces never (`python -m eval faces`
has those, by the study's consent). They say what the model answered and whether it was right; no
key, T-score or probability is beside them.

What training logs is in runs of its own: one a stage, with job types teacher, pseudo, student and
eval; of a trial of a sweep one in all, with job type run, whose summary says how it ended
(trial/slot, trial/complete, trial/pruned, trial/pruned_at, trial/failed, trial/objective/<name>).
An evaluation's job type is evaluation, and its group is that of its run: of a trial the sweep's
name, else track.group, else the run's name.

No row of a patient leaves, and no small group. Curves are read off at fixed places. What is of
fewer than five patients, or of fewer than five with a positive or a negative label, is withheld,
and with it what it could be told from. Names of cohorts and models do leave, as they are known to
everybody who reads a report; those of sites and makers only where they are names of a dataset or of
a known maker. Paths, hosts, keys, patients and free text do not.
"""
