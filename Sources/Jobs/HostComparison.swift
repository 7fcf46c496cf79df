import Collectives
import Diagnostics
import FileSystem

extension Communicator {
  /// Makes sure that all ranks run the same program, to the byte: another build may compute other bits. Collective.
  /// - Throws: on every rank the same `Failure(.badData)`, which names the ranks and hosts that have each.
  public func comparePrograms() throws {
    try compareAcrossRanks(productVersion, what: "the version of the program")
    let hash = try agree { SHA256.hexDigest(of: try readFile("/proc/self/exe")) }
    try compareAcrossRanks(hash, what: "the program (SHA-256 of its file)")
  }

  /// Makes sure that files have the same content on all hosts. Collective.
  ///
  /// Each host reads every file once: its ranks share them.
  /// - Parameters:
  ///   - files: the names, which are the same on all hosts, and where the files are on this one.
  ///   - hosts: the host of each rank, by rank.
  /// - Throws: on every rank the same `Failure`: `.badData` names the first file that differs and the hosts that have each content.
  public func compareContents(of files: [(name: String, path: String)], hosts: [String]) throws {
    let groups = HostGroups(hosts)
    guard groups.names.count > 1 else { return }
    // Of the many files only the digests of blocks go to all ranks.
    let blockSize = (files.count + 255) / 256
    let blocks = stride(from: 0, to: files.count, by: max(blockSize, 1)).map { $0..<min($0 + blockSize, files.count) }
    let (ranks, place) = groups.place(of: rank)
    let digests = try agree {
      try stride(from: place, to: blocks.count, by: ranks.count).map { block in
        try blocks[block].map { try SHA256.hexDigest(of: readFile(files[$0].path)) }
      }
    }
    let blockDigests = try allGather(digests.flatMap { Array(SHA256.hexDigest(of: $0.joined().utf8).utf8) })
    let digestLength = 64
    func digest(of block: Int, on ranks: [Int]) -> ArraySlice<UInt8> {
      blockDigests[ranks[block % ranks.count]].dropFirst(block / ranks.count * digestLength).prefix(digestLength)
    }
    let differing = blocks.indices.first { block in
      groups.ranks.contains { digest(of: block, on: $0) != digest(of: block, on: groups.ranks[0]) }
    }
    guard let differing else { return }

    let isOwn = differing % ranks.count == place
    let ownDigests = isOwn ? digests[differing / ranks.count] : []
    let all = try allGather(Array(ownDigests.joined().utf8))
    for (index, file) in blocks[differing].enumerated() {
      let contents = groups.ranks.map { ranks in
        let digest = all[ranks[differing % ranks.count]].dropFirst(index * digestLength).prefix(digestLength)
        return String(decoding: digest, as: UTF8.self)
      }
      guard contents.contains(where: { $0 != contents[0] }) else { continue }
      throw Failure(
        .badData,
        "the hosts differ in the content of \(files[file].name) (SHA-256)"
          + groups.describe(contents), hint: "every host needs the same files: copy them, or use a shared file system",
        isOnAllRanks: true)
    }
  }
}

/// The ranks of each host, in the order of the hosts' first ranks.
private struct HostGroups {
  let names: [String]
  let ranks: [[Int]]

  init(_ hosts: [String]) {
    let names = hosts.distinct
    self.names = names
    ranks = names.map { name in hosts.indices.filter { hosts[$0] == name } }
  }

  /// The ranks of a rank's host, and which of them it is.
  func place(of rank: Int) -> (ranks: [Int], place: Int) {
    for ranks in ranks {
      if let place = ranks.firstIndex(of: rank) { return (ranks, place) }
    }
    preconditionFailure("every rank has a host")
  }

  /// A line for each of the different texts, with the hosts that have it.
  func describe(_ texts: [String]) -> String {
    texts.distinct.map { text in
      "\n  \(text): " + zip(names, texts).filter { $1 == text }.map(\.0).joined(separator: ", ")
    }.joined()
  }
}
