import CVectorKernels
import Testing

@testable import Numerics

/// Where products look ahead to: a wrong address would change no result.
@Suite struct LookaheadTests {
  private let width = 48
  private let memory = FloatBuffer(4096)

  private func offset(_ area: rd_area) -> Int {
    UnsafeRawPointer(area.next) - UnsafeRawPointer(memory.pointer)
  }

  @Test(arguments: [(Precision.fp32, 4), (.bf16, 2)])
  func areasAreThoseOfPixels(precision: Precision, bytes: Int) {
    let map = FeatureMap(memory.pointer, stored: precision)
    let whole = rd_area(map, pixels: 3..<10, of: width)
    #expect(offset(whole) == bytes * 3 * width && whole.runs == 1)
    #expect(whole.left == bytes * 7 * width && whole.bytes == whole.left)

    let some = rd_area(map, pixels: 3..<10, of: width, channels: 32..<48)
    #expect(offset(some) == bytes * (3 * width + 32) && some.runs == 7)
    #expect(some.left == bytes * 16 && some.bytes == some.left && some.stride == bytes * width)

    #expect(rd_area(map, pixels: 3..<3, of: width).runs == 0)
    #expect(rd_ahead(nil).first.runs == 0 && rd_ahead(whole).second.runs == 0)
  }

  /// Parts that cover the images have pixels that do.
  @Test(arguments: [(12, 7), (36, 9), (5, 64)])
  func pixelsOfPartsAdjoin(parts: Int, blocks: Int) {
    let map = ConvolutionShape.Map(height: 6, width: 10, channels: 1)
    var end = 0
    for block in 0..<blocks {
      let pixels = map.pixels(under: evenRange(block, of: blocks, count: 4 * parts), of: parts)
      #expect(pixels.lowerBound == end)
      end = pixels.upperBound
    }
    #expect(end == 4 * map.pixels)
  }
}
