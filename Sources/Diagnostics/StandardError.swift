import Glibc

/// Writes a line to standard error.
package func sayAsError(_ line: String) { writeAsError(line + "\n") }

/// Writes to standard error. Where it takes nothing more, because its disk is full or its reader gone, work goes on in silence.
package func writeAsError(_ text: String) {
  var text = text
  text.withUTF8 { bytes in
    var rest = UnsafeRawBufferPointer(bytes)
    while !rest.isEmpty {
      let count = write(STDERR_FILENO, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
