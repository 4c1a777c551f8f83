"""What a stranger's file may not do; docs/security.md names the threats."""
