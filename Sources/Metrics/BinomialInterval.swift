import Glibc

/// The exact confidence interval of a rate, from how often something happened (C. Clopper, E. Pearson, 1934).
/// - Parameters:
///   - count: how often it happened, from 0 to `trials`.
///   - trials: how often it could have happened, at least once.
public func binomialInterval(_ count: Int, of trials: Int, confidence: Double = 0.95) -> ClosedRange<Double> {
  precondition(trials > 0 && (0...trials).contains(count), "\(count) of \(trials)")
  let tail = (1 - confidence) / 2
  let low = count == 0 ? 0 : betaQuantile(tail, count, trials - count + 1)
  let high = count == trials ? 1 : betaQuantile(1 - tail, count + 1, trials - count)
  return low...high
}

/// The value that a variable with the beta distribution of parameters `a` and `b`, both at least 1, does not exceed with a probability.
func betaQuantile(_ probability: Double, _ a: Int, _ b: Int) -> Double {
  var (low, high) = (0.0, 1.0)
  // Halved until no number lies between.
  while case let middle = low + (high - low) / 2, low < middle, middle < high {
    if betaProbability(middle, Double(a), Double(b)) < probability { low = middle } else { high = middle }
  }
  return high
}

/// The probability that a variable with the beta distribution does not exceed `x`: the regularised incomplete beta function.
/// Source: NIST Digital Library of Mathematical Functions, 8.17.22, by Lentz's method.
private func betaProbability(_ x: Double, _ a: Double, _ b: Double) -> Double {
  if x <= 0 { return 0 }
  if x >= 1 { return 1 }
  // There the fraction converges fast.
  if x > (a + 1) / (a + b + 2) { return 1 - betaProbability(1 - x, b, a) }
  let factor = exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * log(x) + b * log1p(-x)) / a
  let least = 1e-300
  func large(_ value: Double) -> Double { abs(value) < least ? least : value }
  var (fraction, c, d) = (1.0, 1.0, 0.0)
  for term in 0..<10_000 {
    let m = Double(term / 2)
    let coefficient =
      term == 0
      ? 1
      : term % 2 == 0
        ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / large(1 + coefficient * d)
    c = large(1 + coefficient / c)
    let change = c * d
    fraction *= change
    if term > 0, abs(change - 1) < 1e-15 { break }
  }
  return factor * (fraction - 1)
}

private func logGamma(_ x: Double) -> Double { lgamma(x).0 }
