"""Error against cost: ResNet-RS's own networks, small networks with seeds, times and memory on one CPU."""
