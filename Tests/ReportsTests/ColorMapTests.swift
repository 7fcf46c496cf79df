import Diagnostics
import Foundation
import Testing

@testable import Reports

@Suite struct ColorMapTests {
  /// OKLab's lightness of an 8-bit sRGB color.
  private func lightness(_ color: SIMD3<UInt8>) -> Double {
    func linear(_ sample: UInt8) -> Double {
      let encoded = Double(sample) / 255
      return encoded <= 0.04045 ? encoded / 12.92 : pow((encoded + 0.055) / 1.055, 2.4)
    }
    let (red, green, blue) = (linear(color[0]), linear(color[1]), linear(color[2]))
    let long = cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    let medium = cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    let short = cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
  }

  @Test func lightnessRisesEvenly() {
    #expect(ColorMap.heat.count == 256)
    for (step, color) in ColorMap.heat.enumerated() {
      // A color that did not fit into sRGB would have been clipped and miss its lightness.
      #expect(abs(lightness(color) - (0.28 + 0.64 * Double(step) / 255)) < 0.003, "step \(step): \(color)")
    }
  }

  @Test func neighboursAreAlmostEqual() {
    for (color, next) in zip(ColorMap.heat, ColorMap.heat.dropFirst()) {
      for channel in 0..<3 { #expect(abs(Int(color[channel]) - Int(next[channel])) <= 4) }
    }
  }

  @Test func placesOutsideTakeTheEnds() {
    #expect(ColorMap.color(at: -1) == ColorMap.heat[0])
    #expect(ColorMap.color(at: 0.5) == ColorMap.heat[128])
    #expect(ColorMap.color(at: 2) == ColorMap.heat[255])
  }
}

@Suite struct HeatMapScaleTests {
  @Test func clamps() throws {
    let scale = try HeatMapScale(low: 1, high: 3)
    #expect([0, 1, 1.5, 2, 3, 9].map(scale.place) == [0, 0, 0.25, 0.5, 1, 1])
  }

  @Test func equalEndsSeparateWhatIsAbove() throws {
    let scale = try HeatMapScale(low: 2, high: 2)
    #expect([1, 2, 2.1].map(scale.place) == [0, 0, 1])
  }

  @Test func whatMakesNoSenseIsRejected() throws {
    for (low, high) in [(2, 1), (.nan, 1), (0, .nan), (-.infinity, 0), (0, .infinity)] as [(Double, Double)] {
      #expect(throws: Failure.self) { _ = try HeatMapScale(low: low, high: high) }
    }
  }
}
