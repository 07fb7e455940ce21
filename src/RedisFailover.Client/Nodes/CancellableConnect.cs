namespace RedisFailover.Client;

/// <summary>Connects a multiplexer until somebody loses interest: 3.4's own way takes no token, and waits for ConnectTimeout.</summary>
internal static class CancellableConnect
{
    /// <summary>Connects; the attempt that nobody waits for any more is ended when it has come to something.</summary>
    /// <exception cref="OperationCanceledException">When <paramref name="cancellationToken"/> ends it.</exception>
    /// <exception cref="RedisConnectionException">When the node cannot be reached, or refuses.</exception>
    public static async Task<ConnectionMultiplexer> Async(ConfigurationOptions configuration, CancellationToken cancellationToken)
    {
        Task<ConnectionMultiplexer> connecting = ConnectionMultiplexer.ConnectAsync(configuration);
        try
        {
            return await connecting.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _ = EndAsync(connecting);
            throw;
        }
    }

    private static async Task EndAsync(Task<ConnectionMultiplexer> connecting)
    {
        try
        {
            (await connecting.ConfigureAwait(false)).Close(allowCommandsToComplete: false);
        }
        catch (Exception)
        {
            // It failed, and nobody waits for the reason.
        }
    }
}
