#pragma once

#include <stddef.h>
#include <stdint.h>

// PNG, JPEG, TIFF and WebP by libpng, libjpeg, libtiff and libwebp. The first two report errors by longjmp, which Swift must never see: it stays in here.

#ifdef __cplusplus
extern "C" {
#endif

/// 8-bit samples, rows from the top without padding. `pixels` belongs to the caller (free).
typedef struct {
  uint8_t *pixels;
  uint32_t width;
  uint32_t height;
  /// 1 (grey), 2 (grey, alpha), 3 (red, green, blue) or 4 (red, green, blue, alpha).
  uint32_t channels;
  /// As in Exif, 1 to 8, where the decoder knows it; otherwise 0.
  uint16_t orientation;
} image_codec_raster;

/// Bytes on the heap, the caller's to free.
typedef struct {
  uint8_t *bytes;
  size_t count;
} image_codec_buffer;

/// Text of an error, always terminated.
typedef struct {
  char text[256];
} image_codec_error;

/// A picture of more pixels is refused before memory is taken for it.
#define IMAGE_CODEC_MAX_PIXELS (1u << 28)

// Each returns 1, or 0 with the error's text and nothing to free.
// Palettes are expanded, 16-bit samples are scaled to 8 bits by value * 255 / 65535, rounded.
// A picture that is not whole is an error. Rows and columns are as they are stored, whatever the orientation.
int image_codec_decode_png(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error);
int image_codec_decode_jpeg(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error);
/// The first picture of the file; colors come multiplied by their alpha, without it.
int image_codec_decode_tiff(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error);
/// No animation.
int image_codec_decode_webp(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error);

/// `channels` is 1 or 3.
int image_codec_encode_png(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
    image_codec_buffer *png, image_codec_error *error);

/// `channels` is 1 or 3, `quality` from 1 to 100.
int image_codec_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int quality,
    image_codec_buffer *jpeg, image_codec_error *error);

// What the libraries say of themselves; libjpeg-turbo says nothing at run time, so that one is of its headers.
const char *image_codec_png_version(void);
const char *image_codec_jpeg_version(void);
/// More than the version, and more lines than one.
const char *image_codec_tiff_version(void);
/// A byte each for major, minor and revision.
int image_codec_webp_version(void);

#ifdef __cplusplus
}
#endif
