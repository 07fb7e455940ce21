namespace RedisFailover.Client;

/// <summary>
/// What a node says of its role and of the data that it holds (INFO), on a connection of its own: the application's may not ask that,
/// and the node need not be one of the topology in force.
/// </summary>
internal static class NodeQuestion
{
    /// <summary>Null when it does not answer in time.</summary>
    /// <param name="nodes">Says what to connect with.</param>
    /// <param name="node">The node.</param>
    /// <param name="described">Its data set as its topology describes it: believed where the node's ACL denies INFO.</param>
    /// <param name="within">For everything.</param>
    /// <param name="cancellation">Stops the waiting.</param>
    public static async Task<NodeInfo?> AskAsync(
        NodeSet nodes, NodeAddress node, MasterIdentity? described, TimeSpan within, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(within, nodes.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            Dialed dialed = await nodes.Dialer.ConnectAsync(node.Host, node.Port, within, either.Token).ConfigureAwait(false);
            if (dialed is not { Socket: { } socket, EndPoint: { } found })
            {
                return null;
            }

            socket.Dispose();
            ConfigurationOptions configuration = NodeConfiguration.Of(nodes.Options, node, found, within);
            configuration.AllowAdmin = true;
            ConnectionMultiplexer multiplexer = await CancellableConnect.Async(configuration, either.Token).ConfigureAwait(false);
            try
            {
                IServer server = multiplexer.GetServer(multiplexer.GetEndPoints()[0]);
                return await InfoAsync(server, described).WaitAsync(either.Token).ConfigureAwait(false);
            }
            finally
            {
                multiplexer.Close(allowCommandsToComplete: false);
            }
        }
#pragma warning disable CA1031 // Whatever it is, a mistake in ConfigureNode too: what it holds is not known.
        catch (Exception) when (!cancellation.IsCancellationRequested)
#pragma warning restore CA1031
        {
            return null;
        }
    }

    private static async Task<NodeInfo?> InfoAsync(IServer server, MasterIdentity? described)
    {
        try
        {
            return NodeInfo.Parse(await server.InfoRawAsync().ConfigureAwait(false) ?? "");
        }
        catch (Exception denied) when (described is not null && denied is RedisCommandException
            or RedisServerException { Kind: RedisErrorKind.NoPermission or RedisErrorKind.UnknownCommand })
        {
            return new NodeInfo
            {
                Role = server.IsReplica ? NodeRole.Replica : NodeRole.Master,
                RunId = described.RunId,
                ReplicationId = described.ReplicationId,
                PreviousReplicationId = described.PreviousReplicationId,
            };
        }
    }
}
