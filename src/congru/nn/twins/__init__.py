"""The torch twins of the nodes of a network, a file for each kind: see `congru.nn.nodes`."""
