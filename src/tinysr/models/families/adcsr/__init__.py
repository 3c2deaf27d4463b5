"""AdcSR (CVPR 2025): a pruned UNet straight on the image, and half of a decoder."""
