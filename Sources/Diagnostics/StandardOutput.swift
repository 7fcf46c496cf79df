import Foundation

/// Writes results to standard output.
/// - Throws: `Failure(.inputOutput)` where it does not take all of them, because its disk is full or its reader gone.
package func writeResult(_ text: String) throws {
  do {
    try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  } catch {
    throw Failure(.inputOutput, "standard output: cannot be written: \(error)")
  }
}
