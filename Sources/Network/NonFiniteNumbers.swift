/// Numbers of a step that are not finite. All ranks find them at once, before a parameter is touched.
public struct NonFiniteNumbers: Error {
  /// Where they are, such as "layer bn.bn1".
  public let place: String
  /// Which of this rank's images in the step have such numbers there; nil where it is not known which.
  public let images: [Int]?

  package init(place: String, images: [Int]?) {
    self.place = place
    self.images = images
  }
}
