//! Recordings: the format over any bytes, the source that plays them, and the one that writes them.

mod events;
mod format;
mod play;
mod recording;
