import Diagnostics
import Foundation
import Testing

@testable import Imagery

/// Layouts other than that of MVTec AD.
@Suite struct DataSetTests {
  @Test func btadIsFoundOut() throws {
    try withTemporaryFolder { folder in
      try lay(
        [
          "01/train/ok/1.bmp": [], "01/test/ok/2.bmp": [], "01/test/ko/3.bmp": [], "01/ground_truth/ko/3.png": [],
          "02/train/ok/1.png": [], "02/test/ok/2.png": [], "02/test/ko/3.png": [], "mvtec/train/good/0.png": [],
        ], in: folder)
      #expect(try DataSet(folder).categories() == ["01", "02", "mvtec"])
      #expect(try DataSet(folder, layout: .btad).categories() == ["01", "02"])
      #expect(try DataSet(folder).testedCategories() == ["01", "02"])
      for layout in [DataSet.Layout.btad, nil] {
        let data = DataSet(folder, layout: layout)
        #expect(try data.training(category: "01").images.map(\.relativePath) == ["train/ok/1.bmp"])
        let entries = try data.test(category: "01")
        #expect(entries.map(\.image.relativePath) == ["test/ko/3.bmp", "test/ok/2.bmp"])
        #expect(entries.map(\.kind) == ["ko", "good"] && entries.map(\.isAnomalous) == [true, false])
        #expect(entries.map(\.maskPath) == ["\(folder)/01/ground_truth/ko/3.png", nil])
        #expect(try data.test(category: "02")[0].maskPath == nil)
      }
      let wrong = failure({ try DataSet(folder, layout: .mvtec).training(category: "01") })
      #expect(wrong?.message == "\(folder)/01: holds no folder train/good")
    }
  }

  @Test func visaGoesByItsTable() throws {
    try withTemporaryFolder { folder in
      let table = """
        object,split,label,image,mask
        candle,train,normal,candle/Data/Images/Normal/0836.JPG,
        candle,test,normal,candle/Data/Images/Normal/0007.JPG,
        candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
        pcb1,train,normal,pcb1/Data/Images/Normal/0001.JPG,

        """
      let names = table.split(whereSeparator: { ",\n".contains($0) }).filter { $0.contains("/") }
      try lay(Dictionary(uniqueKeysWithValues: names.map { (String($0), []) }), in: folder)
      try lay(["split_csv/1cls.csv": Array(table.utf8)], in: folder)
      for data in [DataSet(folder), DataSet(folder, layout: .visa)] {
        #expect(try data.categories() == ["candle", "pcb1"] && data.testedCategories() == ["candle"])
        let manifest = try data.training(category: "candle")
        #expect(manifest.images.map(\.relativePath) == ["candle/Data/Images/Normal/0836.JPG"])
        #expect(manifest.images[0].path == "\(folder)/candle/Data/Images/Normal/0836.JPG")
        let entries = try data.test(category: "candle")
        #expect(entries.map(\.kind) == ["anomaly", "good"])
        #expect(entries.map(\.maskPath) == ["\(folder)/candle/Data/Masks/Anomaly/000.png", nil])
        #expect(failure({ try data.training() })?.hint == "name one with --category: candle, pcb1")
        #expect(failure({ try data.training(category: "candles") })?.hint == "there are candle, pcb1")
      }
    }
  }

  @Test func aTableOfOnesOwn() throws {
    try withTemporaryFolder { folder in
      let table =
        "\u{FEFF}split,path,label,mask\r\ntrain,a.png,good,\r\ntrain,\"b, c.png\",0,\r\ntest,d.png,OK,\r\n"
        + "test,\(folder)/x/e.png,scratch,m.png\r\ntest,f.png,dent,\r\n\r\n"
      try lay(
        [
          "t.csv": Array(table.utf8), "a.png": [], "b, c.png": [], "d.png": [], "x/e.png": [], "m.png": [], "f.png": [],
        ],
        in: folder)
      let data = DataSet("\(folder)/t.csv")
      #expect(try data.training().images.map(\.relativePath) == ["a.png", "b, c.png"])
      let entries = try data.test()
      #expect(entries.map(\.image.path) == ["\(folder)/x/e.png", "\(folder)/d.png", "\(folder)/f.png"])
      #expect(entries.map(\.kind) == ["scratch", "good", "dent"])
      #expect(entries.map(\.maskPath) == ["\(folder)/m.png", nil, nil])
      #expect(try data.categories().isEmpty)
      #expect(failure({ try data.test(category: "x") })?.hint == "leave the category out")
    }
  }

  @Test(arguments: [
    ("path,label\na.png,good\n", "there is no column split"),
    ("image,label,split\n", "there is no column path"),
    ("", "there is no column path"),
    ("path,label,split\na.png,good\n", "record 2: 2 fields for 3 columns"),
    ("path,label,split\na.png,good,train\nb.png,good,val\n", "record 3: split is \"val\""),
    ("path,label,split\na.png,,train\n", "record 2: label is \"\""),
    ("path,label,split\na.png,../x,test\n", "record 2: label is \"../x\""),
    ("path,label,split\n,good,train\n", "record 2: path is empty"),
    ("path,label,split\na.png,crack,train\n", "record 2: a.png is labelled crack and is to be trained on"),
    ("path,label,split\na.png,good,test\na.png,crack,test\n", "record 3: a.png is named twice"),
    ("path,label,split\n\"a.png,good,train\n", "record 2: a quote in the wrong place"),
  ])
  func aTableThatIsWrongIsNamed(text: String, reason: String) throws {
    try withTemporaryFolder { folder in
      try lay(["t.csv": Array(text.utf8)], in: folder)
      let failure = failure({ try DataSet("\(folder)/t.csv").training() })
      #expect(failure?.code == .badData && failure?.message == "\(folder)/t.csv: \(reason)")
    }
  }

  @Test func whatATableNamesMustBeThere() throws {
    try withTemporaryFolder { folder in
      try lay(["t.csv": Array("path,label,split,mask\na.png,good,train,\nb.png,cut,test,c.png\n".utf8)], in: folder)
      let data = DataSet("\(folder)/t.csv")
      #expect(failure({ try data.training() })?.message == "\(folder)/a.png: not a file that can be read")
      let skipped = failure({ try data.training(skipsUnreadable: true) })
      #expect(skipped?.message == "\(folder)/t.csv, split train: no pictures")
      #expect(failure({ try data.test() })?.message.hasPrefix("\(folder)/c.png: ") == true)
      let missing = failure({ try DataSet(folder, layout: .visa).training() })
      #expect(missing?.message.contains("\(folder)/split_csv/1cls.csv") == true)
    }
  }

  @Test func plainFoldersShareTheirNormalPictures() throws {
    try withTemporaryFolder { folder in
      for name in 0..<11 { try lay(["ok/\(10 + name).png": []], in: folder) }
      try lay(
        [
          "bad/a.png": [], "bad/cut/b.tif": [], "bad/notes.txt": [], "masks/a_mask.bmp": [], "masks/cut/b.png": [],
          "masks/cut/orphan.png": [],
        ], in: folder)
      let all = DataSet(normal: "\(folder)/ok")
      #expect(try all.training().images.count == 11)
      #expect(failure({ try all.test() })?.code == .usage)
      let data = DataSet(normal: "\(folder)/ok", anomalous: "\(folder)/bad", masks: "\(folder)/masks")
      let entries = try data.test()
      #expect(
        entries.map(\.image.relativePath)
          == ["anomalous/a.png", "anomalous/cut/b.tif", "normal/14.png", "normal/19.png"])
      #expect(entries.map(\.kind) == ["anomalous", "cut", "good", "good"])
      #expect(entries.map(\.maskPath) == ["\(folder)/masks/a_mask.bmp", "\(folder)/masks/cut/b.png", nil, nil])
      let training = try data.training().images.map(\.relativePath)
      #expect(training.count == 9 && Set(training).isDisjoint(with: entries.map(\.image.relativePath)))
      #expect(try data.masks(category: nil).count == 3)
      #expect(failure({ try data.training(category: "x") })?.code == .usage)
    }
  }

  @Test func whatIsLookedForIsSaid() throws {
    try withTemporaryFolder { folder in
      let hint = failure({ try DataSet(folder).training() })?.hint
      for name in ["train/good", "train/ok", "split_csv/1cls.csv", "docs/data.md"] {
        #expect(hint?.contains(name) == true, "\(name)")
      }
    }
  }

  @Test func masksOfSmallNumbersMarkWhatIsNotZero() {
    func mask(_ pixels: [UInt8]) -> [Bool] {
      Raster(width: pixels.count, height: 1, channels: 1, pixels: pixels).withMarksInWhite().binaryMask()
    }
    #expect(mask([0, 1, 2, 0]) == [false, true, true, false])
    #expect(mask([0, 1, 127, 128]) == [false, false, false, true])
    #expect(mask([0, 0]) == [false, false] && mask([255, 3]) == [true, false])
  }
}
