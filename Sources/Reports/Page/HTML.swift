/// A piece of an HTML document, or of the SVG in one. Text comes into it escaped, and there is no other way in: names of elements and attributes
/// are part of the program.
struct HTML: Sendable {
  private(set) var source: String

  fileprivate init(source: String) { self.source = source }

  /// Text, as it is.
  init(_ text: String) { source = escaped(text) }

  /// A style sheet of the program's own.
  init(style: StaticString) { source = "<style>\(style)</style>" }

  static let none = HTML(source: "")

  /// A whole document.
  var document: String { "<!DOCTYPE html>\n" + source + "\n" }
}

/// An element with what is in it.
func element(
  _ name: StaticString, _ attributes: KeyValuePairs<StaticString, String> = [:],
  @HTMLBuilder content: () -> HTML = { .none }
) -> HTML {
  let attributes = attributes.map { " \($0)=\"\(escaped($1))\"" }.joined()
  // In HTML these have no end; in SVG nothing here is empty but what may be written with an end as well.
  let isVoid = ["img", "meta", "link", "br"].contains("\(name)")
  return HTML(source: "<\(name)\(attributes)>" + (isVoid ? "" : "\(content().source)</\(name)>"))
}

/// What is special in text and in attributes, as entities. Control characters, which HTML does not allow, become the sign for what cannot be shown.
private func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    case "\n", "\t": result.unicodeScalars.append(scalar)
    case _ where scalar.properties.generalCategory == .control: result += "\u{FFFD}"
    // What turns the direction of all text after it.
    case "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}": result += "\u{FFFD}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

/// Pieces of HTML, and text, one after the other.
@resultBuilder enum HTMLBuilder {
  static func buildExpression(_ html: HTML) -> HTML { html }
  static func buildExpression(_ text: String) -> HTML { HTML(text) }
  static func buildBlock(_ parts: HTML...) -> HTML { buildArray(parts) }
  static func buildArray(_ parts: [HTML]) -> HTML { HTML(source: parts.map(\.source).joined()) }
  static func buildOptional(_ part: HTML?) -> HTML { part ?? .none }
  static func buildEither(first: HTML) -> HTML { first }
  static func buildEither(second: HTML) -> HTML { second }
}
