import Foundation
import Network
import TestSupport
import Testing

@testable import Distillation

@Suite struct ParameterTests {
  struct File: Decodable {
    let backbones: [Counts]
    let streams: [Stream]
  }

  struct Counts: Decodable {
    let backbone: Backbone
    let teacher, teacherLayer4, decoder: Int
    let reference, paper: Student
    let teacherTensors, studentTensors: Tensors
    let paperFusionTensors: [Named]
  }

  struct Student: Decodable {
    let embedding, trained: Int
  }

  struct Tensors: Decodable {
    let parameters, buffers: [Named]
  }

  /// `[name, shape]`
  struct Named: Decodable, Hashable {
    let name: String
    let shape: [Int]

    init(name: String, shape: [Int]) {
      self.name = name
      self.shape = shape
    }

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      name = try values.decode(String.self)
      shape = try values.decode([Int].self)
    }
  }

  struct Stream: Decodable {
    let seed: UInt64
    let name: String
    let f4: Data
  }

  /// If this fails, no fixture of a network can be met.
  @Test func streamsOfTheFixtures() throws {
    let file = try fixture("parameters", in: .module, as: File.self)
    let model = ModelConfiguration(backbone: .resNet18, fusion: .convolution, imageSize: 64)
    let units = Architecture(model).studentUnits + Architecture(model).teacherUnits
    for stream in file.streams {
      let expected = stream.f4.numbers(Float.self)
      #expect(expected.count == 8)
      if stream.name == "images" {
        let images = fixtureImages(stream.name, batch: 4, size: 64, seed: stream.seed)
        #expect((0..<8).map { images[3 * $0] } == expected)
      } else {
        let unit = try #require(units.first { $0.tensors.contains { $0.name == stream.name } })
        let tensor = fixtureTensors([unit], of: .resNet18, seed: stream.seed).first { $0.name == stream.name }
        #expect(tensor?.values.prefix(8).elementsEqual(expected) == true, "\(stream.name)")
      }
    }
  }

  /// The numbers of parameters that the method's description gives.
  @Test(arguments: [
    (Backbone.resNet18, 2_782_784, 11_680_000, 3_703_168, 15_383_168),
    (.resNet50, 8_543_296, 30_829_568, 15_821_824, 46_651_392),
    (.wideResNet50x2, 24_862_528, 58_885_120, 24_917_504, 83_802_624),
  ])
  func countsOfTheDescription(backbone: Backbone, teacher: Int, bottleneck: Int, decoder: Int, trained: Int) {
    let architecture = Architecture(ModelConfiguration(backbone: backbone))
    #expect(count(architecture.teacherUnits) == teacher)
    #expect(count(architecture.studentUnits, "bn.") == bottleneck)
    #expect(count(architecture.studentUnits, "decoder.") == decoder)
    #expect(count(architecture.studentUnits) == trained)
  }

  @Test(arguments: Backbone.allCases)
  func namesAndShapesArePyTorchs(backbone: Backbone) throws {
    let file = try fixture("parameters", in: .module, as: File.self)
    let expected = try #require(file.backbones.first { $0.backbone == backbone })
    let reference = Architecture(ModelConfiguration(backbone: backbone))
    let paper = Architecture(ModelConfiguration(backbone: backbone, fusion: .convolution))
    let pretrained = Architecture(ModelConfiguration(backbone: backbone, bottleneck: .pretrained))

    #expect(count(reference.teacherUnits) == expected.teacher)
    #expect(count(pretrained.teacherUnits) - count(reference.teacherUnits) == expected.teacherLayer4)
    #expect(count(pretrained.studentUnits) == expected.decoder)
    for (architecture, counts) in [(reference, expected.reference), (paper, expected.paper)] {
      #expect(count(architecture.studentUnits, "bn.") == counts.embedding)
      #expect(count(architecture.studentUnits) == counts.trained)
    }

    for (units, tensors) in [
      (reference.teacherUnits, expected.teacherTensors), (reference.studentUnits, expected.studentTensors),
    ] {
      let all = units.flatMap(\.tensors).map { Named(name: $0.name, shape: $0.shape) }
      #expect(all.filter { !$0.name.contains(".running_") } == tensors.parameters, "in PyTorch's order")
      #expect(all.filter { $0.name.contains(".running_") } == tensors.buffers)
    }
    let all = Set(paper.studentUnits.flatMap(\.tensors).map { Named(name: $0.name, shape: $0.shape) })
    #expect(all.isSuperset(of: expected.paperFusionTensors))
    #expect(
      Set(all.map(\.name))
        == Set(
          (expected.studentTensors.parameters + expected.studentTensors.buffers + expected.paperFusionTensors).map(
            \.name)))
  }

  private func count(_ units: [UnitDescription], _ prefix: String = "") -> Int {
    units.filter { $0.convolution.hasPrefix(prefix) }.reduce(0) { $0 + $1.parameterCount }
  }
}
