# Reads cohorts as JSON from stdin, writes what survival and riskRegression say of them. See
# survival_reference.py, which calls this.
suppressMessages({library(survival); library(riskRegression); library(jsonlite)})

graf <- function(d, share, times) {
  # The IPCW Brier score from survfit's censoring curve: the censored of a time leave after its
  # fractures, so they are moved to just after it.
  late <- d$time + ifelse(d$event == 1, 0, 1e-4)
  G <- survfit(Surv(late, 1 - d$event) ~ 1)
  G <- stepfun(G$time, c(1, G$surv))
  sapply(seq_along(times), function(k) {
    t <- times[k]
    broken <- d$time <= t & d$event == 1
    mean(ifelse(broken, share[, k]^2 / G(d$time - 1e-7),
         ifelse(d$time > t, (1 - share[, k])^2 / G(t), 0)))
  })
}

one <- function(case) {
  d <- data.frame(time = case$time, event = case$event, score = case$score, patient = case$patient)
  c_of <- function(...) {
    fit <- concordance(Surv(time, event) ~ score, d, reverse = TRUE, ...)
    list(c = fit$concordance, error = sqrt(fit$var), count = as.numeric(fit$count))
  }
  km <- lapply(c(`log-log` = "log-log", log = "log", plain = "plain"), function(type) {
    fit <- survfit(Surv(time, event) ~ 1, d, conf.type = type)
    q <- quantile(fit, c(.25, .5, .75), conf.int = FALSE)
    list(time = fit$time, n.risk = fit$n.risk, n.event = fit$n.event, n.censor = fit$n.censor,
         survival = fit$surv, error = fit$surv * fit$std.err, low = fit$lower, high = fit$upper,
         quantile = as.numeric(q),
         rmean = as.numeric(summary(fit, rmean = case$horizon)$table["rmean"]),
         at_risk = summary(fit, times = case$times, extend = TRUE)$n.risk)
  })
  cox <- lapply(c(efron = "efron", breslow = "breslow"), function(ties) {
    fit <- coxph(Surv(time, event) ~ score, d, ties = ties, init = 1,
                 control = coxph.control(iter.max = 0))
    curve <- survfit(fit, newdata = data.frame(score = case$new), se.fit = FALSE)
    list(loglik = fit$loglik[1], martingale = as.numeric(residuals(fit, "martingale")),
         curves = summary(curve, times = case$times)$surv)
  })
  share <- as.matrix(case$share)
  risk <- 1 - share
  score <- Score(list(m = risk), Surv(time, event) ~ 1, d, times = case$times, cens.model = "km",
                 metrics = c("auc", "brier"), summary = "ibs", null.model = TRUE, se.fit = TRUE,
                 conf.int = TRUE)
  auc <- as.data.frame(score$AUC$score)
  brier <- as.data.frame(score$Brier$score)
  list(harrell = c_of(), harrell_by_patient = c_of(cluster = d$patient),
       uno = c_of(timewt = "n/G2"), uno_horizon = c_of(timewt = "n/G2", ymax = case$horizon),
       km = km, cox = cox, graf = graf(d, share, case$times),
       risk_regression = list(
         auc = auc[auc$model == "m", "AUC"], auc_error = auc[auc$model == "m", "se"],
         brier = brier[brier$model == "m", "Brier"], brier_error = brier[brier$model == "m", "se"],
         null = brier[brier$model == "Null model", "Brier"]))
}

cases <- fromJSON(file("stdin"))
said <- list(
  versions = list(R = R.version.string, survival = as.character(packageVersion("survival")),
                  riskRegression = as.character(packageVersion("riskRegression"))),
  cases = lapply(cases, one))
cat(toJSON(said, digits = NA, auto_unbox = TRUE, na = "null"))
