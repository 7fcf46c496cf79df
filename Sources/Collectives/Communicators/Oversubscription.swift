import Foundation

extension LaunchEnvironment {
  /// Whether whoever started the job asked for more ranks than there is room for, as `mpirun --oversubscribe` does, as far as this rank can
  /// tell: on a host without mpirun itself, Open MPI 5 tells nobody.
  public static var allowsOversubscription: Bool {
    let launcher = try? String(contentsOfFile: "/proc/\(getppid())/cmdline", encoding: .utf8)
    return allowsOversubscription(
      ProcessInfo.processInfo.environment,
      launcher: launcher?.split(separator: "\0").map(String.init) ?? [])
  }

  /// - Parameters:
  ///   - environment: that of a rank.
  ///   - launcher: the words of the command that started it.
  static func allowsOversubscription(_ environment: [String: String], launcher: [String]) -> Bool {
    // Open MPI 4 turns its option into the first of these; Slurm has the second.
    let switches = ["OMPI_MCA_rmaps_base_oversubscribe", "SLURM_OVERCOMMIT"]
    if switches.contains(where: { ["1", "true", "yes"].contains(environment[$0]?.lowercased()) }) { return true }
    let policies = ["OMPI_MCA_rmaps_base_mapping_policy", "PRTE_MCA_rmaps_default_mapping_policy"]
    return (policies.compactMap { environment[$0] } + launcher).contains { word in
      // An option of its own, or a part of what --map-by takes.
      let parts = word.lowercased().split(separator: ":", omittingEmptySubsequences: false)
      return parts.dropFirst().contains { $0.split(separator: ",").contains("oversubscribe") }
        || ["-oversubscribe", "--oversubscribe"].contains(word)
    }
  }
}
