import Testing

/// The error of this kind that `body` ends in, as `#expect(throws:)` gives it from Swift 6.1 on; where it ends otherwise, the test has failed.
public func expectError<Kind: Error, Result>(
  _ kind: Kind.Type, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
  of body: () throws -> Result
) -> Kind? {
  do {
    _ = try body()
    Issue.record(comment ?? "no error, where \(kind) was expected", sourceLocation: sourceLocation)
  } catch let error as Kind {
    return error
  } catch {
    Issue.record(error, comment, sourceLocation: sourceLocation)
  }
  return nil
}
