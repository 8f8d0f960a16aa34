"""What `make bench` measures. Each module measures one thing and gives JSON; ``report`` makes tables of it."""
