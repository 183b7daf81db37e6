"""Stacks of the local cloud: what CloudFormation and SAM would make of a template, change and remove."""
