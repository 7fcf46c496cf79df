#include "CImageCodecs.h"

#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>

static int refuse(image_codec_raster *raster, image_codec_error *error, const char *reason) {
  free(raster->pixels);
  memset(raster, 0, sizeof *raster);
  strcpy(error->text, reason);
  return 0;
}

int image_codec_decode_webp(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error) {
  memset(raster, 0, sizeof *raster);
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes, count, &features) != VP8_STATUS_OK) return refuse(raster, error, "no valid header");
  // What the first bytes say of the length includes the chunks behind the pixels.
  uint64_t length = 8 + (bytes[4] | (uint32_t)bytes[5] << 8 | (uint32_t)bytes[6] << 16 | (uint64_t)bytes[7] << 24);
  if (count < length) return refuse(raster, error, "the file ends too early");
  if (features.has_animation) return refuse(raster, error, "it is an animation");
  raster->width = (uint32_t)features.width;
  raster->height = (uint32_t)features.height;
  if ((uint64_t)raster->width * raster->height > IMAGE_CODEC_MAX_PIXELS) {
    return refuse(raster, error, "the picture is too large");
  }
  raster->channels = features.has_alpha ? 4 : 3;
  size_t row_bytes = (size_t)raster->width * raster->channels;
  raster->pixels = malloc(row_bytes * raster->height);
  if (!raster->pixels) return refuse(raster, error, "out of memory");
  uint8_t *decoded = features.has_alpha
      ? WebPDecodeRGBAInto(bytes, count, raster->pixels, row_bytes * raster->height, (int)row_bytes)
      : WebPDecodeRGBInto(bytes, count, raster->pixels, row_bytes * raster->height, (int)row_bytes);
  return decoded ? 1 : refuse(raster, error, "the pixels are damaged");
}

int image_codec_webp_version(void) { return WebPGetDecoderVersion(); }
