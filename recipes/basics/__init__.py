"""First principles: experiments of lecture notes, most of them in seconds."""
