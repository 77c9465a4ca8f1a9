"""The commands of mrcnn-skin, one module each, and the options that they share."""
