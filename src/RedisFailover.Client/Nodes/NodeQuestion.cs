namespace RedisFailover.Client;

/// <summary>What a node says of its role and its data (INFO), on a connection of its own: the application's may not ask.</summary>
internal static class NodeQuestion
{
    /// <summary>Null when it does not answer in time. What its topology describes is believed where the node denies INFO.</summary>
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
                Task<NodeInfo?> asking = InfoAsync(server, described);
                Waiting.Forget(asking);
                return await asking.WaitAsync(either.Token).ConfigureAwait(false);
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
