/* needs: product_int8 */
/* Sums in 2^-16, gates in 2^-15; >> of a negative number rounds down, as every compiler does it. */
static int32_t scaled_product(const int8_t *weight, const int8_t *x, int size, int32_t factor, int shift) {
  int64_t whole = ((int64_t)product_int8(weight, x, size) * factor + ((int64_t)1 << (shift - 1))) >> shift;
  return (int32_t)(whole < -268435456 ? -268435456 : whole > 268435456 ? 268435456 : whole);
}
/* sigmoid of a, from a table 1/32 apart that ends at 11. */
static int32_t gate(int32_t a, const int16_t *table) {
  int32_t size = a < 0 ? -a : a, k, y;
  if (size > 720895) size = 720895;
  k = size >> 11;
  y = table[k] + (((table[k + 1] - table[k]) * (size & 2047) + 1024) >> 11);
  return a < 0 ? 32768 - y : y;
}
