//! Recordings: the format over any bytes, the source that plays them, and the one that writes them.

mod play;
mod recording;
