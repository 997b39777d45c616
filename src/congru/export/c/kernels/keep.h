/* needs: normal */
/* Zoneout's mean: keep of the old and the rest of the new. */
static float kept(float keep, float old, float new_) {
  return normal(keep == 0.0f ? new_ : keep * old + (new_ - keep * new_));
}
