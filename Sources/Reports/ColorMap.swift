import Glibc

/// The colors of heat maps: 256 steps from a deep violet over red and orange to a light yellow.
///
/// Lightness rises evenly, so that order and distance of values can be read off, in grey and by the color-blind too.
/// The colors lie on a helix in OKLab's cylindrical form: lightness and hue run linearly, and chroma swells in the
/// middle as far as sRGB allows.
/// Source of the color space: B. Ottosson, "A perceptual color space for image processing", 2020.
public enum ColorMap {
  /// Red, green and blue of the steps, lowest first.
  public static let heat: [SIMD3<UInt8>] = (0..<256).map { step in
    let share = Double(step) / 255
    let hue = (-75 + 180 * share) * .pi / 180
    let chroma = 0.158 + 0.06 * pow(sin(.pi * share), 4)
    return sRGB(lightness: 0.28 + 0.64 * share, a: chroma * cos(hue), b: chroma * sin(hue))
  }

  /// The color of a place from 0 (lowest) to 1.
  static func color(at place: Double) -> SIMD3<UInt8> { heat[Int(min(max(place, 0), 1) * 255 + 0.5)] }

  /// An OKLab color in 8-bit sRGB.
  private static func sRGB(lightness: Double, a: Double, b: Double) -> SIMD3<UInt8> {
    func cube(_ x: Double) -> Double { x * x * x }
    let long = cube(lightness + 0.3963377774 * a + 0.2158037573 * b)
    let medium = cube(lightness - 0.1055613458 * a - 0.0638541728 * b)
    let short = cube(lightness - 0.0894841775 * a - 1.2914855480 * b)
    func sample(_ fromLong: Double, _ fromMedium: Double, _ fromShort: Double) -> UInt8 {
      let linear = min(max(fromLong * long + fromMedium * medium + fromShort * short, 0), 1)
      let encoded = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055
      return UInt8(encoded * 255 + 0.5)
    }
    return SIMD3(
      sample(4.0767416621, -3.3077115913, 0.2309699292), sample(-1.2684380046, 2.6097574011, -0.3413193965),
      sample(-0.0041960863, -0.7034186147, 1.7076147010))
  }
}
