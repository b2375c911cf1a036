//! Text and environment to settings; every mistake collected, then told at once.
