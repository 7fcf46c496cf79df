/// How a stored number is laid out, in little-endian bytes.
enum ElementType {
  case float64, float32, float16, bfloat16
  case int64, int32, int16, int8
  case uint64, uint32, uint16, uint8
  case bool

  /// Bytes a number.
  var size: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool: 1
    }
  }
}

/// Which elements of a storage make up a tensor, and in which order. Offset and strides count elements.
struct TensorLayout {
  /// As many as PyTorch supports; more are a sign of damage.
  static let mostDimensions = 64

  let type: ElementType
  let shape: [Int]
  let count: Int
  private let offset: Int
  /// The same walk in as few dimensions as possible, outermost first: none of size 1, none that runs on into the next.
  private let axes: [(size: Int, stride: Int)]

  /// A tensor whose elements follow one another from the storage's first on; nil where the shape is no shape.
  init?(type: ElementType, shape: [Int]) {
    guard let count = elementCount(shape) else { return nil }
    self.type = type
    self.shape = shape
    self.count = count
    offset = 0
    axes = [(count, 1)]
  }

  /// A tensor as a view of a storage; nil where it reaches beyond the storage's `storageCount` elements.
  init?(type: ElementType, shape: [Int], strides: [Int], offset: Int, storageCount: Int) {
    guard let count = elementCount(shape), strides.count == shape.count, strides.allSatisfy({ $0 >= 0 }), offset >= 0,
      offset <= storageCount
    else { return nil }
    self.type = type
    self.shape = shape
    self.count = count
    self.offset = offset
    guard count > 0 else {
      axes = []
      return
    }
    var axes: [(size: Int, stride: Int)] = []
    var last = offset
    for (size, stride) in zip(shape, strides) where size > 1 {
      let (reach, tooFar) = stride.multipliedReportingOverflow(by: size - 1)
      guard !tooFar, reach < storageCount - last else { return nil }
      last += reach
      if let outer = axes.last, outer.stride == size * stride {
        axes[axes.count - 1] = (outer.size * size, stride)
      } else {
        axes.append((size, stride))
      }
    }
    guard last < storageCount else { return nil }
    self.axes = axes
  }

  /// The tensor's values in row-major order. `storage` must hold the elements that the layout was made for.
  func values(in storage: UnsafeRawBufferPointer) -> [Float] {
    switch type {
    case .float32: gather(storage) { (number: Float) in number }
    case .float64: gather(storage) { Float($0 as Double) }
    case .float16: gather(storage) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: gather(storage) { Float(bitPattern: UInt32($0 as UInt16) << 16) }
    case .int64: gather(storage) { Float($0 as Int64) }
    case .int32: gather(storage) { Float($0 as Int32) }
    case .int16: gather(storage) { Float($0 as Int16) }
    case .int8: gather(storage) { Float($0 as Int8) }
    case .uint64: gather(storage) { Float($0 as UInt64) }
    case .uint32: gather(storage) { Float($0 as UInt32) }
    case .uint16: gather(storage) { Float($0 as UInt16) }
    case .uint8: gather(storage) { Float($0 as UInt8) }
    case .bool: gather(storage) { ($0 as UInt8) == 0 ? 0 : 1 }
    }
  }

  private func gather<Stored: BitwiseCopyable>(
    _ storage: UnsafeRawBufferPointer, _ convert: (Stored) -> Float
  ) -> [Float] {
    let outer = axes.dropLast()
    let inner = axes.last ?? (size: 1, stride: 0)
    return [Float](unsafeUninitializedCapacity: count) { output, written in
      var start = offset
      var index = [Int](repeating: 0, count: outer.count)
      while written < count {
        for position in 0..<inner.size {
          let place = (start + position * inner.stride) * MemoryLayout<Stored>.size
          output[written + position] = convert(storage.loadUnaligned(fromByteOffset: place, as: Stored.self))
        }
        written += inner.size
        for axis in outer.indices.reversed() {
          index[axis] += 1
          start += outer[axis].stride
          if index[axis] < outer[axis].size { break }
          start -= outer[axis].size * outer[axis].stride
          index[axis] = 0
        }
      }
    }
  }
}
