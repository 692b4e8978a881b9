"""Numbers that several stages share, each defined here and nowhere else."""

SAMPLE_RATE_HZ = 16_000  # of the sound of a clip, mono
CLIP_S = 1.0  # length of a clip
SAMPLE_BYTES = 2  # int16, little endian
PCM_SCALE = 1 / 32768  # int16 → [-1, 1)

N_MELS = 64
HOP_SAMPLES = 80  # 5 ms between two frames of a spectrogram
FRAMES = SAMPLE_RATE_HZ // HOP_SAMPLES + 1  # 201: one frame per hop, both ends of the clip included

FRAME_MATCH_S = 0.15  # a box belongs to the nearest frame within this time (design rule 9)

SPEEDS = "speed.json"  # beside a TensorBoard log: what each epoch of the training did, and how fast
