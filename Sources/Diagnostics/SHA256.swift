import CCrypto

/// An incremental SHA-256, by OpenSSL.
public struct SHA256: ~Copyable {
  private let context: OpaquePointer

  public init() {
    context = EVP_MD_CTX_new()
    EVP_DigestInit_ex(context, EVP_sha256(), nil)
  }

  deinit { EVP_MD_CTX_free(context) }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
  }

  public mutating func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The digest of everything given so far, as 64 lower-case hexadecimal digits.
  public consuming func hexDigest() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(context, &digest, nil)
    let digits = Array("0123456789abcdef")
    return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  public static func hexDigest(of bytes: some Sequence<UInt8>) -> String {
    var hash = SHA256()
    let bytes = Array(bytes)
    bytes.withUnsafeBytes { hash.update($0) }
    return hash.hexDigest()
  }
}
