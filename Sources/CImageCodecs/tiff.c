#include "CImageCodecs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

// The file is in memory.
typedef struct {
  const uint8_t *bytes;
  toff_t count;
  toff_t place;
  image_codec_error *error;
  int has_failed;
  int is_reading_pixels;
} tiff_job;

static void refuse(tiff_job *job, const char *reason) {
  // The first reason says most.
  if (!job->has_failed) snprintf(job->error->text, sizeof job->error->text, "%s", reason);
  job->has_failed = 1;
}

static tmsize_t read_bytes(thandle_t handle, void *target, tmsize_t count) {
  tiff_job *job = handle;
  if (count < 0) return 0;
  toff_t rest = job->place > job->count ? 0 : job->count - job->place;
  if ((toff_t)count > rest) {
    // libtiff would go on without what it was to read, a palette for instance.
    refuse(job, "the file ends too early");
    count = (tmsize_t)rest;
  }
  if (count == 0) return 0;
  memcpy(target, job->bytes + job->place, (size_t)count);
  job->place += (toff_t)count;
  return count;
}

static tmsize_t write_nothing(thandle_t handle, void *bytes, tmsize_t count) {
  (void)handle, (void)bytes, (void)count;
  return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
  tiff_job *job = handle;
  job->place = whence == SEEK_SET ? offset : whence == SEEK_CUR ? job->place + offset : job->count + offset;
  return job->place;
}

static int keep_open(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t size(thandle_t handle) { return ((tiff_job *)handle)->count; }

static int fail(TIFF *tiff, void *user_data, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)module;
  char text[sizeof((image_codec_error *)0)->text];
  vsnprintf(text, sizeof text, format, arguments);
  refuse(user_data, text);
  return 1;
}

// Of the directory they are about what does not touch the pixels; while pixels are read, some of these are invented.
static int warn(TIFF *tiff, void *user_data, const char *module, const char *format, va_list arguments) {
  tiff_job *job = user_data;
  return job->is_reading_pixels ? fail(tiff, user_data, module, format, arguments) : 1;
}

// libtiff's own conversion would cut 16 bits off instead of rounding.
static void read_grey16(TIFF *tiff, image_codec_raster *raster, int is_inverted, tiff_job *job) {
  uint32_t tile_width = raster->width, tile_height = 1;
  int is_tiled = TIFFIsTiled(tiff);
  if (is_tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
  }
  tmsize_t size = is_tiled ? TIFFTileSize(tiff) : TIFFScanlineSize(tiff);
  if (size <= 0 || (uint64_t)size < 2 * (uint64_t)tile_width * tile_height) return refuse(job, "unexpected size");
  uint16_t *samples = malloc((size_t)size);
  if (!samples) return refuse(job, "out of memory");
  for (uint32_t top = 0; top < raster->height && !job->has_failed; top += tile_height) {
    for (uint32_t left = 0; left < raster->width && !job->has_failed; left += tile_width) {
      int is_read = is_tiled ? TIFFReadTile(tiff, samples, left, top, 0, 0) >= 0 : TIFFReadScanline(tiff, samples, top, 0) >= 0;
      if (!is_read) refuse(job, "rows are missing");
      for (uint32_t y = 0; is_read && y < tile_height && top + y < raster->height; y++) {
        for (uint32_t x = 0; x < tile_width && left + x < raster->width; x++) {
          unsigned value = (samples[(size_t)y * tile_width + x] + 128u) / 257u;
          raster->pixels[(size_t)(top + y) * raster->width + left + x] = (uint8_t)(is_inverted ? 255 - value : value);
        }
      }
    }
  }
  free(samples);
}

// The pixels are to be room for four bytes each, and then hold `channels`.
static void read_color(TIFF *tiff, image_codec_raster *raster, tiff_job *job) {
  // Asked for as they are stored, rows and columns are not turned around.
  if (!TIFFReadRGBAImageOriented(tiff, raster->width, raster->height, (uint32_t *)raster->pixels, raster->orientation, 1)) {
    refuse(job, "the pixels cannot be read");
  }
  size_t count = (size_t)raster->width * raster->height;
  for (size_t i = 0; i < count && !job->has_failed; i++) {
    // Colors are multiplied by alpha already.
    uint32_t pixel;
    memcpy(&pixel, raster->pixels + 4 * i, 4);
    uint8_t color[3] = {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)};
    memcpy(raster->pixels + raster->channels * i, color, raster->channels);
  }
}

static void decode(TIFF *tiff, image_codec_raster *raster, tiff_job *job) {
  uint16_t bits = 1, samples = 1, photometric = 0;
  uint32_t tile_width = 0, tile_height = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &raster->width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &raster->height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &raster->orientation);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
  TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
  TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
  uint64_t pixels = (uint64_t)raster->width * raster->height;
  if (pixels == 0) return refuse(job, "the picture has no pixels");
  if (pixels > IMAGE_CODEC_MAX_PIXELS || (uint64_t)tile_width * tile_height > IMAGE_CODEC_MAX_PIXELS) {
    return refuse(job, "the picture is too large");
  }
  // Deflate makes 1032 bytes of one at most. More of them would cost minutes and memory, and nothing was ever written there.
  if (pixels > 1u << 24 && pixels / 8192 > job->count) return refuse(job, "more pixels than its bytes can hold");
  if (samples > 8) return refuse(job, "a pixel has more than 8 samples");

  int is_grey = samples == 1 && (photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE);
  uint16_t format = SAMPLEFORMAT_UINT;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) return refuse(job, "samples that are not unsigned whole numbers");
  int is_grey16 = is_grey && bits == 16;
  raster->channels = is_grey ? 1 : 3;
  raster->pixels = malloc(pixels * (is_grey16 ? 1 : 4));
  if (!raster->pixels) return refuse(job, "out of memory");
  job->is_reading_pixels = 1;
  if (is_grey16) {
    read_grey16(tiff, raster, photometric == PHOTOMETRIC_MINISWHITE, job);
  } else {
    read_color(tiff, raster, job);
  }
}

int image_codec_decode_tiff(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error) {
  tiff_job job = {.bytes = bytes, .count = count, .error = error};
  memset(raster, 0, sizeof *raster);
  strcpy(error->text, "out of memory");
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return 0;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)4 * IMAGE_CODEC_MAX_PIXELS);
  TIFFOpenOptionsSetErrorHandlerExtR(options, fail, &job);
  TIFFOpenOptionsSetWarningHandlerExtR(options, warn, &job);
  // Without a map ("m"), so that no byte beyond the end is taken for one of the file.
  TIFF *tiff = TIFFClientOpenExt("", "rm", &job, read_bytes, write_nothing, seek, keep_open, size, NULL, NULL, options);
  TIFFOpenOptionsFree(options);
  if (!tiff) return 0;
  if (!job.has_failed) decode(tiff, raster, &job);
  TIFFClose(tiff);
  if (!job.has_failed) return 1;
  free(raster->pixels);
  memset(raster, 0, sizeof *raster);
  return 0;
}

const char *image_codec_tiff_version(void) { return TIFFGetVersion(); }
