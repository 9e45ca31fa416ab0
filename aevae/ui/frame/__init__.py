"""What surrounds every page: menu, layout, access, server and monitoring."""
