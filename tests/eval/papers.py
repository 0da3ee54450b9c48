"""What three published papers print, as minimal tables, and which contradictions are listed.

Typed in from their tables and texts, so that the tests that judge them run everywhere.
"""

SHORT = {
    "AUC": "auroc", "sens": "sensitivity", "spec": "specificity", "PPV": "ppv", "NPV": "npv",
    "acc": "accuracy", "F1": "f1", "auc": "auroc", "precision": "ppv", "recall": "sensitivity",
    "f1": "f1", "kappa": "kappa",
}  # fmt: skip


def row(name, counts="", metrics="", **more):
    """A row from "tp 592, fn 71" and "sens 0.92 (0.90-0.94); acc 0.82"."""
    pairs = [c.strip().split(" ", 1) for c in counts.split(",") if c]
    cells = [m.strip().split(" ", 1) for m in metrics.split(";") if m]
    return {
        "name": name,
        "counts": dict(pairs),
        "metrics": {SHORT.get(k, k): v for k, v in cells},
        **more,
    }


def claim(kind, quantity, **fields):
    return {"kind": kind, "quantity": quantity, **fields}


def part(name, of, by, counts, metrics="", **more):
    return row(name, counts, metrics, part_of=of, by=by, **more)


OSPENSCREEN = {
    "rows": [
        row(
            "AMC internal", "tp 592, tn 501, fp 162, fn 71",
            "AUC 0.91 (0.89-0.93); sens 0.92 (0.90-0.94); spec 0.72 (0.68-0.76); "
            "PPV 0.77 (0.73-0.80); NPV 0.90 (0.87-0.93); acc 0.82 (0.80-0.84); F1 0.84 (0.82-0.86)",
            population="AMC internal",
        ),
        row("AMC internal, Table 1", "negatives 674, positives 652", population="AMC internal"),
        part(
            "AMC internal, women", "AMC internal", "sex", "negatives 556, positives 556",
            "AUC 0.92 (0.90-0.93); sens 0.92 (0.90-0.94); spec 0.72 (0.68-0.76); "
            "PPV 0.77 (0.74-0.80); NPV 0.90 (0.87-0.90); acc 0.82 (0.80-0.84)",
        ),
        part("AMC internal, men", "AMC internal", "sex", "negatives 107, positives 107"),
        part("AMC internal, 50-54", "AMC internal", "age", "negatives 309, positives 205"),
        part(
            "AMC internal, 55-59", "AMC internal", "age", "n 423, positives 207"
        ) | {"counts": {"negatives": "216 (51.1%)", "positives": "207 (38.9%)"}},
        part(
            "AMC internal, 60-64", "AMC internal", "age", "negatives 128, positives 93",
            "sens 0.93 (0.88-0.97); spec 0.64 (0.54-0.74); PPV 0.78 (0.71-0.84); "
            "NPV 0.87 (0.78-0.94); acc 0.81 (0.75-0.86)",
        ),
        part(
            "AMC internal, 65+", "AMC internal", "age", "negatives 114, positives 54",
            "sens 0.95 (0.90-0.98); spec 0.48 (0.35-0.62); PPV 0.80 (0.73-0.86); "
            "NPV 0.82 (0.66-0.94); acc 0.80 (0.74-0.86)",
        ),
        row(
            "AMC external", "tp 372, tn 277, fp 111, fn 11", "sens 0.97 (0.95-0.99)",
            population="AMC external", interval="hmisc-wilson",
        ),
        row("AMC external, Table 1", "negatives 393, positives 378", population="AMC external"),
        row("AMC external, Table 3", "negatives 387, positives 384", population="AMC external"),
        row("SCH", "", "", population="SCH")
        | {"counts": {"tp": "989 (27.4%)", "tn": "1582 (53.9%)", "fp": "351 (11.3%)",
                      "fn": "211 (7.3%)"}},
        row("SCH, Table 1", "negatives 1935, positives 1198", population="SCH"),
        part("SCH, 50-54", "SCH", "age", "negatives 741, positives 301"),
        part("SCH, 55-59", "SCH", "age", "negatives 505, positives 308"),
        part("SCH, 60-64", "SCH", "age", "negatives 310, positives 236"),
        part("SCH, 65+", "SCH", "age", "negatives 373, positives 353"),
        row(
            "VHSMC", "tp 371, tn 174, fp 98, fn 62",
            "sens 0.86 (0.82-0.89); spec 0.70 (0.59-0.70); PPV 0.82 (0.76-0.83); "
            "NPV 0.75 (0.68-0.79); acc 0.80 (0.74-0.80); F1 0.84 (0.80-0.85)",
        ),
        row("GH", "tp 409, tn 201, fp 39, fn 138"),
        part("GH, 50-54", "GH", "age", "negatives 43, positives 37"),
        part("GH, 55-59", "GH", "age", "negatives 32, positives 61", "spec 0.94 (0.80-0.94)"),
        part("GH, 60-64", "GH", "age", "negatives 38, positives 90"),
        part("GH, 65+", "GH", "age", "negatives 117, positives 345"),
    ],
    "claims": [
        claim("same", "training size", printed={"abstract": "77,812", "text": "68,811"}),
        claim("sum", "paired CXR and DXA", whole="68,811",
              parts={"training": "46,048", "tuning": "6,498"}),
        claim("share", "internal test, 20%", part="1,326", whole="53,872", percent="20%"),
        claim("sum", "validation size", whole="5,935",
              parts={"AMC int": "1326", "AMC ext": "771", "SCH": "3133", "VHSMC": "705",
                     "GH": "787"}),
        claim("same", "GH pairs", printed={"text": "987", "tables": "787"}),
        claim("sum", "AMC internal test", whole="1,326",
              parts={"collected": "749", "excluded": "-318", "added": "340"}),
        claim("mean", "women's age in training", whole="53.5",
              means={"AMC": "53.4", "tuning": "53.5", "public": "61.6"},
              n={"AMC": "24281", "tuning": "3425", "public": "6565"}),
        claim("same", "AMC external, women, accuracy", printed={"text": "0.86", "Table 3": "0.84"}),
        claim("same", "AMC internal AUC", printed={"S3": "0.86", "Table 2": "0.91"}),
        claim("same", "AUC on the external test datasets",
              printed={"abstract": "0.95", "SCH": "0.90", "VHSMC": "0.85", "GH": "0.85"}),
    ],
}  # fmt: skip

LI = {
    "rows": [
        row("internal, DL", "", "AUC 0.917; sens 84.01%; spec 85.85%; acc 85.17%; PPV 79.36%; "
            "NPV 89.45%; F1 0.815; prevalence 35.5%"),
        row("internal, DL, cells alone", "",
            "sens 84.01%; spec 85.85%; acc 85.17%; PPV 79.36%; NPV 89.45%"),
        row("external 1, DL", "positives 119, negatives 69", "AUC 0.897; sens 64.15%; spec 88.16%; "
            "acc 72.72%; PPV 92.18%; NPV 60.45%; F1 0.733"),
        row("external 2, DL", "positives 63, negatives 13", "AUC 0.921; sens 52.93%; spec 99.74%; "
            "acc 62.95%; PPV 99.52%; NPV 24.71%; F1 0.683"),
        row("external 2, clinical", "positives 63, negatives 13", "AUC 0.532; sens 84.61%; "
            "spec 25.06%; acc 77.61%; PPV 88.33%; NPV 22.25%; F1 0.863"),
        row("external 2, combined", "positives 63, negatives 13", "AUC 0.919; sens 73.52%; "
            "spec 75.01%; acc 71.10%; PPV 94.99%; NPV 32.48%; F1 0.805"),
    ],
    "tests": [
        {"kind": "chi-squared", "quantity": "external 1, sex", "counts": [[20, 99], [31, 38]],
         "statistic": "-17.471", "p": "<0.001"},
        # 856 test cases of unstated prevalence: the cohort's 35.5% gives 304.
        {"kind": "auroc", "quantity": "internal, DL against combined", "first": "0.917",
         "second": "0.919", "positives": 304, "negatives": 552, "p": "<0.05"},
        {"kind": "auroc", "quantity": "external 1, DL against combined", "first": "0.897",
         "second": "0.896", "positives": 119, "negatives": 69, "better": "second"},
        {"kind": "auroc", "quantity": "external 2, DL against combined", "first": "0.921",
         "second": "0.919", "positives": 63, "negatives": 13, "better": "second"},
    ],
}  # fmt: skip


def several(name, acc, precision, recall, f1, auc, kappa):
    """A row over three classes, said to be of the 208 people of validation."""
    cells = f"acc {acc}; precision {precision}; recall {recall}; f1 {f1}; auc {auc}; kappa {kappa}"
    return row(name, "n 208", cells, kind="multiclass")


FACE2BONE = {
    "rows": [
        several("VGG16", "0.8713", "0.8846", "0.8536", "0.8646", "0.9597", "0.7992"),
        several("VGG19", "0.8316", "0.8410", "0.8121", "0.8226", "0.9284", "0.7370"),
        several("ResNet18", "0.8583", "0.8562", "0.8499", "0.8528", "0.9576", "0.7808"),
        several("ResNet34", "0.8782", "0.8872", "0.8667", "0.8748", "0.9604", "0.8106"),
        several("Face2Bone", "0.9285", "0.9294", "0.9285", "0.9283", "0.9856", "0.8887"),
        several("Remove-FSA", "0.6134", "0.6951", "0.6134", "0.5775", "0.8696", "0.4215"),
        several("Remove-SSAM", "0.8794", "0.8797", "0.8794", "0.8795", "0.9620", "0.8140"),
        several("Remove-KAN", "0.8975", "0.8978", "0.8975", "0.8974", "0.9602", "0.8412"),
        row("Normal", "n 208", "acc 0.9577"),
        row("Osteopenia", "n 208", "acc 0.9416"),
        row("Osteoporosis", "n 208", "acc 0.9577"),
        row("Face2Bone, calibration", "n 208", "acc 0.9285; brier 0.050"),
        part("women", "Face2Bone, calibration", "sex", "n 754", "acc 0.8964; brier 0.074"),
        part("men", "Face2Bone, calibration", "sex", "n 286", "acc 0.8343; brier 0.049"),
        row("Normal against the rest", "tp 516, fn 40, fp 28, tn 1025",
            "acc 0.9577; precision 0.9485; recall 0.9281; f1 0.9382; kappa 0.9016"),
    ],
    "tests": [
        {"kind": "medians", "quantity": "weight", "p": "0.590",
         "first": {"median": "60.0", "q1": "53.0", "q3": "68.3", "n": 832},
         "second": {"median": "52.0", "q1": "47.0", "q3": "58.0", "n": 208}},
        *({"kind": "hosmer-lemeshow", "quantity": f"calibration, {who}", "statistic": x, "p": p}
          for who, x, p in (("all", "3.91", "0.418"), ("women", "4.15", "0.528"),
                            ("men", "1.07", "0.585"))),
    ],
    "claims": [
        claim("same", "overall AUC", printed={"abstract": "98.56%", "text": "95.86%"}),
        claim("same", "osteoporosis recall", printed={"text": "86.61%", "Table 3": "0.8681"}),
        claim("same", "osteoporosis F1", printed={"text": "92.29%", "Table 3": "90.29%"}),
        claim("order", "precision, best first", claim="decreasing",
              values={"Face2Bone": "0.9294", "second, VGG16": "0.8846", "ResNet34": "0.8872"}),
        claim("change", "accuracy without FSA", before="92.85%", after="61.34%", percent="37.79%",
              scale="relative"),
        claim("alike", "osteopenia SHAP", values={
            "periorbital": "0.00094", "midface": "0.00007", "nasolabial": "0.000054",
            "jawline": "0.000038", "forehead": "0.00002"}),
        claim("order", "similarity: between, then within normal", claim="increasing",
              values={"inter, lowest": "0.260", "normal, intra": "0.231"}),
        claim("order", "JSD with progression", claim="increasing", values={
            "normal-osteopenia": "0.077", "osteopenia-osteoporosis": "0.155",
            "normal-osteoporosis": "0.096"}),
        claim("order", "learning rate, initial to maximum", claim="increasing",
              values={"initial": "1e-3", "maximum": "0.001"}),
    ],
}  # fmt: skip

TABLES = {"OsPenScreen": OSPENSCREEN, "Li2026": LI, "Face2Bone": FACE2BONE}

#: What is listed (its first words) -> findings as (severity, row, column, rule): column and rule by
#: a part of their text, a row that ends in * by its beginning. Or, as plain text, why no table of
#: numbers can show it.
METHOD = "about method, wording or software: no two printed numbers disagree"
ADD, SAME, ONE = "add up", "printed once", "counted once"
IMPOSSIBLE, AVERAGED, MISPRINT = "impossible", "averaged?", "misprint?"
EXPECTED = {
    "OsPenScreen": {
        "Training size": [(MISPRINT, "training size", "", SAME), (IMPOSSIBLE, "paired*", "", ADD)],
        "Split:": [(MISPRINT, "internal test, 20%", "share", "percentage")],
        "Validation size": [(IMPOSSIBLE, "validation size", "", ADD)],
        "GH: text 987": [(MISPRINT, "GH pairs", "", SAME)],
        "AMC internal test paragraph": [(IMPOSSIBLE, "AMC internal test", "", ADD)],
        "AMC internal class counts": [
            (IMPOSSIBLE, "AMC internal, AMC internal, Table 1*", "positives", ONE),
            (IMPOSSIBLE, "AMC internal", "negatives", ADD),
        ],
        "Table 3 AMC internal 60-64": [
            (MISPRINT, "AMC internal, 60-64", "positives, negatives", "one confusion matrix"),
            (MISPRINT, "AMC internal, 65+", "positives, negatives", "one confusion matrix"),
            (MISPRINT, "AMC internal, 55-59", "positives", "percentage is its count"),
        ],
        "AMC external class counts": [(IMPOSSIBLE, "AMC external*", "positives", ONE)],
        "SCH: Table 1": [
            (IMPOSSIBLE, "SCH*", "positives", ONE),
            (IMPOSSIBLE, "SCH", "n", ADD),
            *((MISPRINT, "SCH", k, "percentage is its count") for k in ("tp", "tn", "fp", "fn")),
        ],
        "Table 2 AMC internal sens": [
            *((IMPOSSIBLE, "AMC internal", k, "follow from the confusion matrix")
              for k in ("sensitivity", "specificity", "ppv", "npv")),
            (MISPRINT, "AMC internal", "sensitivity, specificity", "another row's"),
        ],
        "Table 2 VHSMC": [
            *((IMPOSSIBLE, "VHSMC", k, "follow from the confusion matrix")
              for k in ("specificity", "ppv", "npv", "accuracy", "f1")),
            *((MISPRINT, "VHSMC", k, "centred") for k in ("specificity", "accuracy")),
        ],
        "Table 3 GH rows": [
            (IMPOSSIBLE, "GH", "n", ADD), (MISPRINT, "GH, 55-59", "specificity", "centred"),
        ],
        "Table 3 AMC internal Female NPV": [(MISPRINT, "AMC internal, women", "npv", "centred")],
        "Training mean age": [(IMPOSSIBLE, "women's age*", "mean", "weighted mean")],
        "AMC external accuracy by sex": [(MISPRINT, "AMC external, women*", "same", SAME)],
        "Supplement S3": [(MISPRINT, "AMC internal AUC", "same", SAME)],
        'Abstract "AUC 0.95': [(MISPRINT, "AUC on the external*", "same", SAME)],
        "Table 1 severity headings": METHOD,
        "CIs: text says": [(MISPRINT, "AMC external", "sensitivity", "stated method")],
        "p<0.001 for every": METHOD,
    },
    "Li2026": {
        "Table 1 external 1 sex chi2": [
            (IMPOSSIBLE, "external 1, sex", "statistic", "not negative"),
        ],
        "Table 2 external 2 combined": [
            (IMPOSSIBLE, "external 2, combined", "accuracy", "between sensitivity"),
        ],
        "Table 2 external 2 (63 OP": [
            (AVERAGED, "external 2, DL", "specificity", "whole number out of n"),
            (AVERAGED, "external 2, clinical", "specificity", "whole number out of n"),
            (AVERAGED, "external 2, DL", "sensitivity", "whole number out of n"),
            (AVERAGED, "external 1, DL", "sensitivity", "whole number out of n"),
            (AVERAGED, "external 2, DL", "f1", "harmonic"),
        ],
        "Table 2 internal test": [
            (AVERAGED, "internal, DL", "prevalence", "one prevalence"),
            (AVERAGED, "internal, DL, cells alone", "accuracy", "one prevalence"),
        ],
        "Internal: the text reports": [
            (MISPRINT, "internal, DL against*", "p", "AUROCs and n"),
            (IMPOSSIBLE, "external 1, DL against*", "better", "larger"),
            (IMPOSSIBLE, "external 2, DL against*", "better", "larger"),
        ],
        "Exclusion/inclusion": METHOD,
        'Text: "remove global pooling"': METHOD,
        "Global loss uses Sigmoid": METHOD,
        "Combined model input": METHOD,
        "AUC 95% CI": "numbers that are missing: an honest table may print none",
    },
    "Face2Bone": {
        "EVALUATION n": [
            (AVERAGED, "VGG16", "accuracy", "whole number out of n"),
            (AVERAGED, "Face2Bone", "accuracy", "whole number out of n"),
            (AVERAGED, "VGG16, VGG19*", "accuracy", "whole number out of n"),
        ],
        "Averaging differs by row": [(AVERAGED, "VGG16*", "sensitivity", "one average")],
        "Overall AUC 98.56%": [(MISPRINT, "overall AUC", "same", SAME)],
        "Osteoporosis recall 86.61%": [
            (MISPRINT, "osteoporosis recall", "same", SAME),
            (MISPRINT, "osteoporosis F1", "same", SAME),
        ],
        '"4.48% higher': [(IMPOSSIBLE, "precision, best first", "order", "stated order")],
        "ViT is claimed": "a row that is missing",
        "Sex subgroups": [
            (IMPOSSIBLE, "Face2Bone, calibration", "n", ADD),
            (IMPOSSIBLE, "Face2Bone, calibration", "accuracy", "among its parts"),
            (IMPOSSIBLE, "Face2Bone, calibration", "brier", "weighted mean"),
            (AVERAGED, "women", "accuracy", "whole number out of n"),
            (AVERAGED, "men", "accuracy", "whole number out of n"),
        ],
        "Ablation FSA": [(MISPRINT, "accuracy without FSA", "change", "two ends")],
        "Fig. 11": "the steps add up; that they were never measured is not in the numbers",
        "Table 6 periorbital": [(MISPRINT, "osteopenia SHAP", "alike", "one size")],
        "Table 7": [(IMPOSSIBLE, "similarity*", "order", "stated order")],
        "Table 8": [(IMPOSSIBLE, "JSD*", "order", "stated order")],
        "Table 1: validation weight": [(IMPOSSIBLE, "weight", "p", "p follows")],
        "HL df implied": [
            (MISPRINT, f"calibration, {who}", "p", "groups") for who in ("all", "women", "men")
        ],
        "OneCycle": [(IMPOSSIBLE, "learning rate*", "order", "stated order")],
        "Early stopping": METHOD,
        "FaceNet described": METHOD,
        "Inclusion (men": METHOD,
        "Eq. 6 lacks": METHOD,
        "Kappa eq. 23": METHOD,
        "Vertical flip": METHOD,
        "STARD 2015": "numbers that are missing: an honest table may print none",
    },
}  # fmt: skip
