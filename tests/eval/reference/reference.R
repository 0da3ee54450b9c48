# Reference values of the statistics in eval/, made by R packages on seeded inputs.
#
#     Rscript tests/eval/reference/reference.R > tests/eval/reference/reference.json
#
# Debian: apt-get install r-base-core r-cran-proc r-cran-hmisc r-cran-vcd r-cran-jsonlite
# ResourceSelection is not in Debian: hosmer() repeats the definition of its hoslem.test (base R's
# quantile type 7, unique breaks, cut), with degrees of freedom by realised groups.
suppressMessages({library(pROC); library(Hmisc); library(vcd); library(jsonlite)})
options(digits = 17)
set.seed(20)

draw <- function(n, ties) {
  y <- c(0, 1, 0, 1, rbinom(n - 4, 1, 0.4))
  shared <- rnorm(n)
  z <- sapply(1:2, function(k) plogis(1.3 * y - 0.7 + shared + rnorm(n)))
  z <- if (ties) round(z * 20) / 20 else round(z, 6)
  z <- pmin(pmax(z, 0.05), 0.95)
  list(y = y, a = z[, 1], b = z[, 2])
}

hosmer <- function(y, p, g) {
  breaks <- unique(quantile(p, probs = seq(0, 1, 1 / g)))
  group <- cut(p, breaks = breaks, include.lowest = TRUE)
  observed <- xtabs(cbind(1 - y, y) ~ group)
  expected <- xtabs(cbind(1 - p, p) ~ group)
  chi2 <- sum((observed - expected)^2 / expected)
  k <- nlevels(group)
  list(chi2 = chi2, groups = k, n = as.vector(table(group)),
       p = pchisq(chi2, k - 2, lower.tail = FALSE),
       p_external = pchisq(chi2, k, lower.tail = FALSE))
}

line <- function(y, p) {
  x <- qlogis(p)
  tight <- glm.control(epsilon = 1e-15, maxit = 100)
  slope <- glm(y ~ x, family = binomial, control = tight)
  large <- glm(y ~ 1, offset = x, family = binomial, control = tight)
  list(intercept = coef(slope)[[1]], slope = coef(slope)[[2]], in_the_large = coef(large)[[1]])
}

ici <- function(y, p) {
  fit <- loess(y ~ p, span = 0.75, degree = 2,
               control = loess.control(surface = "direct", statistics = "exact"))
  smooth <- pmin(pmax(predict(fit, p), 0), 1)
  gap <- abs(smooth - p)
  list(ici = mean(gap), e50 = median(gap), e90 = quantile(gap, 0.9)[[1]], emax = max(gap))
}

area <- function(y, s) {
  r <- roc(y, s, direction = "<", levels = c(0, 1), quiet = TRUE)
  ci <- as.numeric(ci.auc(r, method = "delong"))
  list(auc = as.numeric(auc(r)), variance = var(r, method = "delong"), low = ci[1], high = ci[3])
}

curve_of <- function(y, s) roc(y, s, direction = "<", levels = c(0, 1), quiet = TRUE)

better <- function(a, b, y) {
  r <- improveProb(a, b, y)
  as.list(unlist(r[c("nri", "se.nri", "z.nri", "nri.ev", "nri.ne", "idi", "se.idi", "z.idi")]))
}

two <- function(ties) {
  d <- draw(120, ties)
  e <- draw(90, ties)
  paired <- roc.test(curve_of(d$y, d$a), curve_of(d$y, d$b), method = "delong", paired = TRUE)
  unpaired <- roc.test(curve_of(d$y, d$a), curve_of(e$y, e$a), method = "delong", paired = FALSE)
  cuts <- c(0.2, 0.5, 0.7)
  grade <- function(p) findInterval(p, cuts) / 3
  truth <- factor(d$y + (d$a > 0.6), levels = 0:2)
  said <- factor(findInterval(d$b, c(0.35, 0.65)), levels = 0:2)
  k <- Kappa(table(truth, said))$Unweighted
  list(
    input = c(d, list(other_y = e$y, other = e$a, cuts = cuts)),
    auc = area(d$y, d$a),
    paired = list(z = paired$statistic[[1]], p = paired$p.value, ci = as.numeric(paired$conf.int)),
    unpaired = list(D = unpaired$statistic[[1]], df = unpaired$parameter[[1]],
                    p = unpaired$p.value),
    hosmer = hosmer(d$y, d$a, 10),
    hosmer_coarse = hosmer(d$y, pmin(pmax(round(d$a * 5) / 5, 0.05), 0.95), 10),
    line = line(d$y, d$a),
    ici = ici(d$y, d$a),
    improve = better(d$a, d$b, d$y),
    improve_cuts = better(grade(d$a), grade(d$b), d$y),
    kappa = list(truth = as.integer(truth) - 1, said = as.integer(said) - 1,
                 value = k[[1]], error = k[[2]])
  )
}

counts <- do.call(rbind, lapply(c(1:8, 40, 174), function(n) {
  data.frame(x = unique(c(0:min(n, 8), n - 1, n)), n = n)
}))
limits <- function(method) {
  r <- binconf(counts$x, counts$n, method = method)
  data.frame(low = r[, 2], high = r[, 3])
}
version <- function(p) as.character(packageVersion(p))

cat(toJSON(list(
  made_by = list(R = as.character(getRversion()), pROC = version("pROC"), Hmisc = version("Hmisc"),
                 vcd = version("vcd"), jsonlite = version("jsonlite")),
  distinct = two(FALSE), tied = two(TRUE),
  binconf = list(x = counts$x, n = counts$n, wilson = limits("wilson"), exact = limits("exact"))
), auto_unbox = TRUE, digits = NA, dataframe = "columns"))
cat("\n")
