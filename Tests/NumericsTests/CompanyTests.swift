import Distillation
import Testing
import TestSupport

@testable import Numerics

/// Bits that must not depend on how the work is cut: a rank's results would otherwise depend on how many images it has.
@Suite struct CompanyTests {
  /// The networks' layers where a map is as small as it gets, and where some are small and some are not; besides, maps that are neither
  /// square nor multiples of a tile.
  static let shapes: [ConvolutionShape] =
    networkShapes(imageSize: 32) + networkShapes([.resNet18, .resNet50], imageSize: 64)
    + networkShapes([.resNet18], imageSize: 96) + EngineTests.shapes

  @Test(arguments: EngineKind.available, [Pass.forward, .inputGradient])
  func anImageIsTheSameInAnyCompany(kind: EngineKind, pass: Pass) throws {
    for shape in Self.shapes {
      let example = Example(shape, images: 16)
      let size = pass == .forward ? shape.outputCount : shape.inputCount
      let expected = try kind.with(threads: 1) { try example.run(pass, on: $0) }
      for (images, threads) in [
        (0..<1, 1), (0..<1, 2), (0..<1, 3), (15..<16, 1), (13..<16, 2), (2..<5, 3), (8..<16, 1), (0..<16, 2),
        (0..<16, 3),
      ] {
        let result = try kind.with(threads: threads) { try example.run(pass, on: $0, images: images) }
        let isSame = sameBits(result, expected[images.lowerBound * size..<images.upperBound * size])
        #expect(isSame, "\(shape.text), images \(images), \(threads) threads")
      }
    }
  }

  @Test(arguments: EngineKind.available)
  func weightGradientsDoNotDependOnTheThreads(kind: EngineKind) throws {
    for shape in Self.shapes {
      let example = Example(shape, images: 5)
      let shards = [0..<2, 2..<3, 3..<5]
      let expected = try kind.with(threads: 1) { try example.run(.weightGradient, on: $0, shards: shards) }
      for threads in [2, 3] {
        let result = try kind.with(threads: threads) { try example.run(.weightGradient, on: $0, shards: shards) }
        let isSame = sameBits(result, expected)
        #expect(isSame, "\(shape.text), \(threads) threads")
      }
    }
  }

  /// What ``RowBlocks`` relies on: OpenBLAS gives a row the same bits in every product that it does not take for small; with some kernels
  /// only in whole groups of rows, in the same place of a group.
  @Test(arguments: [false, true])
  func aRowIsTheSameInEveryProductThatIsNotSmall(transposed: Bool) throws {
    useOneThreadPerMatrixProduct()
    let group = try #require(rowGroup)
    for (columns, depth) in [
      (64, 147), (64, 576), (128, 1152), (256, 64), (512, 4608), (2048, 512), (33, 70), (1024, 1024), (48, 3000),
    ] {
      let least = (RowBlocks.smallProduct / (columns * depth) / group + 1) * group
      let most = least + 50 * group
      let a = randomNumbers(most * depth, seed: 1)
      let b = randomNumbers(depth * columns, seed: 2)
      func product(_ rows: Range<Int>) -> [Float] {
        var c = [Float](repeating: .nan, count: rows.count * columns)
        a.withUnsafeBufferPointer { a in
          b.withUnsafeBufferPointer { b in
            multiply(
              Matrix(start: a.baseAddress! + rows.lowerBound * depth, stride: depth),
              Matrix(start: b.baseAddress!, stride: transposed ? depth : columns, isTransposed: transposed),
              rows: rows.count, columns: columns, depth: depth, into: &c, stride: columns)
          }
        }
        return c
      }
      let expected = product(0..<most)
      for extra in [0, 1, 2, 3, 5, 7, 8, 15, 16, 25, 40] {
        for first in [0, 1, 6, 25].map({ $0 * group }) {
          let rows = first..<first + least + extra * group
          guard rows.upperBound <= most else { continue }
          let isSame = sameBits(product(rows), expected[rows.lowerBound * columns..<rows.upperBound * columns])
          #expect(isSame, "rows \(rows), \(columns) columns, depth \(depth)")
        }
      }
    }
  }

  /// Blocks cover the rows, are never small where an image is not, and never larger than what is reserved for more images.
  @Test(arguments: [false, true])
  func rowBlocks(rowsAreAlike: Bool) {
    for (rowsPerImage, columns, depth) in [
      (1, 512, 2048), (4, 64, 64), (49, 512, 512), (4096, 64, 576), (16, 2048, 1024),
    ] {
      for preferred in [192, 1024] {
        func blocks(_ images: Int) -> RowBlocks {
          RowBlocks(
            images: images, rowsPerImage: rowsPerImage, columns: columns, depth: depth, preferred: preferred,
            rowsAreAlike: rowsAreAlike)
        }
        for images in 0...16 {
          let blocks16 = blocks(16)
          let blocks = blocks(images)
          let ranges = (0..<blocks.count).map { blocks[$0] }
          #expect(ranges.flatMap { Array($0) } == Array(0..<images * rowsPerImage))
          #expect(ranges.allSatisfy { $0.count <= blocks16.longest })
          let isSmall = rowsPerImage * columns * depth <= RowBlocks.smallProduct
          #expect(
            isSmall
              ? ranges.allSatisfy { $0.count == rowsPerImage }
              : ranges.allSatisfy { $0.count * columns * depth > RowBlocks.smallProduct })
          if isSmall || !rowsAreAlike {
            // The same places in every image.
            let ofImage = ranges.filter { $0.upperBound <= rowsPerImage }
            #expect(ranges.count == images * ofImage.count)
            #expect(ranges.allSatisfy { $0.lowerBound / rowsPerImage == ($0.upperBound - 1) / rowsPerImage })
          }
        }
      }
    }
  }
}
