#include "CImageCodecs.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What must outlive a longjmp is kept here, in memory, and not in a local variable.
typedef struct {
  const uint8_t *input;
  size_t remaining;
  uint8_t *output;
  size_t count;
  size_t capacity;
  png_bytep *rows;
  image_codec_error *error;
} png_job;

static void fail(png_structp png, png_const_charp message) {
  png_job *job = png_get_error_ptr(png);
  snprintf(job->error->text, sizeof job->error->text, "%s", message);
  longjmp(png_jmpbuf(png), 1);
}

// libpng's warnings are about what does not touch the pixels (colour profiles, text, dates).
static void ignore(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void read_bytes(png_structp png, png_bytep bytes, size_t count) {
  png_job *job = png_get_io_ptr(png);
  if (count > job->remaining) png_error(png, "the file ends too early");
  memcpy(bytes, job->input, count);
  job->input += count;
  job->remaining -= count;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  png_job *job = png_get_io_ptr(png);
  if (count > job->capacity - job->count) {
    size_t capacity = 2 * (job->count + count);
    uint8_t *output = realloc(job->output, capacity);
    if (!output) png_error(png, "out of memory");
    job->output = output;
    job->capacity = capacity;
  }
  memcpy(job->output + job->count, bytes, count);
  job->count += count;
}

static void flush_bytes(png_structp png) { (void)png; }

static int row_pointers(png_job *job, const uint8_t *pixels, size_t row_bytes, uint32_t height) {
  job->rows = malloc(height * sizeof *job->rows);
  for (uint32_t y = 0; job->rows && y < height; y++) job->rows[y] = (png_bytep)pixels + y * row_bytes;
  return job->rows != NULL;
}

int image_codec_decode_png(const uint8_t *bytes, size_t count, image_codec_raster *raster, image_codec_error *error) {
  png_job job = {.input = bytes, .remaining = count, .error = error};
  memset(raster, 0, sizeof *raster);
  strcpy(error->text, "out of memory");
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, fail, ignore);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_read_struct(&png, NULL, NULL);
    return 0;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    free(job.rows);
    free(raster->pixels);
    memset(raster, 0, sizeof *raster);
    return 0;
  }
  png_set_read_fn(png, &job, read_bytes);
  png_set_user_limits(png, IMAGE_CODEC_MAX_PIXELS, IMAGE_CODEC_MAX_PIXELS);
  png_read_info(png, info);
  raster->width = png_get_image_width(png, info);
  raster->height = png_get_image_height(png, info);
  if ((uint64_t)raster->width * raster->height > IMAGE_CODEC_MAX_PIXELS) png_error(png, "the picture is too large");

  png_byte kind = png_get_color_type(png, info);
  int has_alpha = kind & PNG_COLOR_MASK_ALPHA || png_get_valid(png, info, PNG_INFO_tRNS);
  raster->channels = (kind & PNG_COLOR_MASK_COLOR ? 3 : 1) + (has_alpha ? 1 : 0);
  if (kind == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (kind == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  png_set_scale_16(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);

  size_t row_bytes = (size_t)raster->width * raster->channels;
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "unexpected row size");
  raster->pixels = malloc(row_bytes * raster->height);
  if (!raster->pixels || !row_pointers(&job, raster->pixels, row_bytes, raster->height)) {
    png_error(png, "out of memory");
  }
  png_read_image(png, job.rows);
  png_read_end(png, NULL);
  png_destroy_read_struct(&png, &info, NULL);
  free(job.rows);
  return 1;
}

int image_codec_encode_png(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
    image_codec_buffer *buffer, image_codec_error *error) {
  png_job job = {.error = error};
  memset(buffer, 0, sizeof *buffer);
  strcpy(error->text, "out of memory");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, fail, ignore);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    return 0;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    free(job.rows);
    free(job.output);
    return 0;
  }
  png_set_write_fn(png, &job, write_bytes, flush_bytes);
  int kind = channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
  png_set_IHDR(
      png, info, width, height, 8, kind, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  if (!row_pointers(&job, pixels, (size_t)width * channels, height)) png_error(png, "out of memory");
  png_write_image(png, job.rows);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  free(job.rows);
  buffer->bytes = job.output;
  buffer->count = job.count;
  return 1;
}

const char *image_codec_png_version(void) { return png_get_libpng_ver(NULL); }
