"""Models: how a consumer of rows learns one, of one learner or of several, and what corrects its answers."""
