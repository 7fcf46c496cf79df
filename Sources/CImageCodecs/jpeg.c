#include "CImageCodecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// jpeglib.h wants <stdio.h> before it.
#include <jerror.h>
#include <jpeglib.h>

// libjpeg hands its error manager around: what a failure needs lies behind it, in memory and not in local variables.
typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf escape;
  image_codec_error *error;
  uint8_t *ink_row;
} jpeg_job;

static void fail(j_common_ptr codec) {
  jpeg_job *job = (jpeg_job *)codec->err;
  char text[JMSG_LENGTH_MAX];
  job->manager.format_message(codec, text);
  snprintf(job->error->text, sizeof job->error->text, "%s", text);
  longjmp(job->escape, 1);
}

static void refuse(jpeg_job *job, const char *reason) {
  strcpy(job->error->text, reason);
  longjmp(job->escape, 1);
}

// libjpeg fills what is missing with grey and merely warns; a picture with invented pixels is no picture.
static void warn(j_common_ptr codec, int level) {
  if (level >= 0) return;
  switch (codec->err->msg_code) {
  case JWRN_BOGUS_PROGRESSION:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_JPEG_EOF:
  case JWRN_MUST_RESYNC:
    fail(codec);
  default:
    return;
  }
}

// Adobe stores ink inverted (255 = none), and other writers of CMYK JPEG follow it.
static void ink_to_rgb(const uint8_t *ink, uint8_t *rgb, uint32_t width) {
  for (uint32_t x = 0; x < width; x++, ink += 4, rgb += 3) {
    unsigned light = ink[3];
    for (int c = 0; c < 3; c++) {
      unsigned product = (255u - ink[c]) * light + 128;
      rgb[c] = (uint8_t)(light - (((product >> 8) + product) >> 8));
    }
  }
}

int image_codec_decode_jpeg(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error) {
  struct jpeg_decompress_struct codec;
  jpeg_job job = {.error = error};
  memset(raster, 0, sizeof *raster);
  memset(&codec, 0, sizeof codec);
  codec.err = jpeg_std_error(&job.manager);
  job.manager.error_exit = fail;
  job.manager.emit_message = warn;
  if (setjmp(job.escape)) {
    jpeg_destroy_decompress(&codec);
    free(job.ink_row);
    free(raster->pixels);
    memset(raster, 0, sizeof *raster);
    return 0;
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, (uint8_t *)bytes, count);
  jpeg_read_header(&codec, TRUE);
  raster->width = codec.image_width;
  raster->height = codec.image_height;
  if ((uint64_t)raster->width * raster->height > IMAGE_CODEC_MAX_PIXELS) {
    refuse(&job, "the picture is too large");
  }

  int ink = codec.num_components == 4;
  raster->channels = codec.num_components == 1 ? 1 : 3;
  codec.out_color_space = ink ? JCS_CMYK : raster->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  size_t row_bytes = (size_t)raster->width * raster->channels;
  raster->pixels = malloc(row_bytes * raster->height);
  if (ink) job.ink_row = malloc((size_t)raster->width * 4);
  if (!raster->pixels || (ink && !job.ink_row)) refuse(&job, "out of memory");

  jpeg_start_decompress(&codec);
  while (codec.output_scanline < codec.output_height) {
    uint8_t *row = raster->pixels + codec.output_scanline * row_bytes;
    JSAMPROW target = ink ? job.ink_row : row;
    jpeg_read_scanlines(&codec, &target, 1);
    if (ink) ink_to_rgb(job.ink_row, row, raster->width);
  }
  jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  free(job.ink_row);
  return 1;
}

int image_codec_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int quality,
    image_codec_buffer *jpeg, image_codec_error *error) {
  struct jpeg_compress_struct codec;
  jpeg_job job = {.error = error};
  // libjpeg's own size type, which it takes the address of.
  unsigned char *volatile bytes = NULL;
  unsigned long count = 0;
  memset(jpeg, 0, sizeof *jpeg);
  memset(&codec, 0, sizeof codec);
  codec.err = jpeg_std_error(&job.manager);
  job.manager.error_exit = fail;
  if (setjmp(job.escape)) {
    jpeg_destroy_compress(&codec);
    free(bytes);
    return 0;
  }
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, (unsigned char **)&bytes, &count);
  codec.image_width = width;
  codec.image_height = height;
  codec.input_components = (int)channels;
  codec.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < height) {
    JSAMPROW row = (JSAMPROW)(pixels + (size_t)codec.next_scanline * width * channels);
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  jpeg->bytes = bytes;
  jpeg->count = count;
  return 1;
}

#define TEXT(tokens) #tokens
#define EXPANDED_TEXT(macro) TEXT(macro)
const char *image_codec_jpeg_version(void) { return EXPANDED_TEXT(LIBJPEG_TURBO_VERSION); }
