"""What only Matterport's scripts call, under Matterport's names."""
