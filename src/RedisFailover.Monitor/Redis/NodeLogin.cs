using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>Logs in to a node. During a rotation there are two passwords, of which a node accepts one or the other.</summary>
internal sealed class NodeLogin(RedisCredentials credentials, NodeInfoReader said, TimeSpan within, MonotonicClock clock)
{
    /// <summary>Null when the node accepts our credentials or does not answer at all, which the heartbeat will tell.</summary>
    internal async Task<(ProbeFailure ProbeFailure, string Detail)?> LogInAsync(
        RedisConnection connection, CancellationToken cancellationToken)
    {
        (ProbeFailure ProbeFailure, string Detail)? outcome = null;
        foreach (string[] login in credentials.Commands)
        {
            outcome = await TryAsync(connection, login, cancellationToken);
            if (outcome is not { ProbeFailure: ProbeFailure.AuthRefused })
            {
                return outcome;
            }
        }

        return outcome;
    }

    private async Task<(ProbeFailure ProbeFailure, string Detail)?> TryAsync(
        RedisConnection connection, string[] login, CancellationToken cancellationToken)
    {
        // Whether it asks replicas for a password as well.
        Task<RespValue> before = connection.SendAsync("PING");
        Task<RespValue> reply = connection.SendAsync(login);
        try
        {
            RespValue value = await reply.WaitAsync(within, clock.Provider, cancellationToken);
            said.LearnedPassword((await before).IsErrorOf("NOAUTH"));
            return IsRefused(value) ? (ProbeFailure.AuthRefused, $"it refuses our credentials ({value.Text!.Split(' ')[0]})") : null;
        }
        catch (TimeoutException)
        {
            return null;
        }
        catch (IOException e)
        {
            return ProbeEnd.Of(e);
        }
    }

    /// <summary>Redis without a password says so; that is no reason not to watch it.</summary>
    private static bool IsRefused(RespValue value)
        => value.IsError && !value.Text!.Contains("without any password", StringComparison.Ordinal)
            && !value.Text.Contains("no password is set", StringComparison.Ordinal)
            && !value.IsErrorOf("LOADING");
}
