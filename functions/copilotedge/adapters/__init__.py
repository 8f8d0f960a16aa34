"""Everything that touches the world: DynamoDB, API Gateway, Lambda, Workers AI."""
