"""Cross-validation as one command: a run for each fold, side by side, and what they say together.

    python -m training li2026 --folds 5
    python -m training ospenscreen:smoke --folds 3 compute.launcher=local     # one after the other

The train split's patients are dealt into N parts (`training.folds`). Fold k is a run of its own in
a folder of its own, ``data.folds=N data.fold=k``: it learns from all parts but k, and predicts that
one besides the other cohorts. It goes on where it was when the same command is given again, on its
own or as part of the whole. The tune split is cut by nobody: it chooses epochs, temperatures and
thresholds of every fold.

``<runs>/<recipe>-folds<N>-<hash>/`` looks like a run to those who read one, and holds:

    folds/<k>                  links to the folds' runs
    logs/fold-<k>.log          what the folds' processes said
    cohorts/<name>-train/      the train split's rows, each by the one model that never saw its
                               patient (out of fold)
    cohorts/<other>/           tune, test, external sites...: the mean of the folds' probabilities
    per_fold.json              how each fold's model ranks, and all together
    <model>/weights/           links to fold 0's, to look at pictures with, and nothing else: the
                               threshold beside them is that of the whole

The score is the mean of the folds' calibrated probabilities, not of their logits: each model counts
for 1/N however large its logits are (the mixture of Lakshminarayanan et al. 2017), and the log loss
of the mixture is never above the models' mean log loss (Jensen). Li et al. (2026) do not say how
five folds become one score on the fixed test set; this is our reading. The train split's rows have
one model each, since their other models learnt from them: these out-of-fold scores are what
a combined model may be fitted to, and the threshold (``operating_point``) is chosen on them, and
frozen. A mean of N models is a little less extreme than one of them, which the threshold does not
know of.
"""

from training.crossvalidate.command import cross_validate

__all__ = ["cross_validate"]
