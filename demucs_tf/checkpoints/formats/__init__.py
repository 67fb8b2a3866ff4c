"""From hostile bytes to plain data: one reader a format. Nothing here makes a model."""
