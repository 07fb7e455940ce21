using System.Collections.Immutable;
using System.Net.Sockets;
using System.Text;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>Why ZooKeeper does not answer, one finding a server.</summary>
/// <param name="Causes">What each server does, such as "zk1:2181: connection refused".</param>
/// <param name="IsHopeless">Whether nothing can come of waiting: every server refuses, is unknown or is something else.</param>
internal sealed record ZooKeeperDiagnosis(ImmutableArray<string> Causes, bool IsHopeless)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Redis ends a command at the end of the line and answers it; ZooKeeper takes the first four bytes for a question.</summary>
    private static readonly byte[] Question = "srvr\n"u8.ToArray();

    internal string Text => string.Join("; ", Causes);

    /// <summary>Asks each server what it is.</summary>
    internal static async Task<ZooKeeperDiagnosis> OfAsync(ZooKeeperConnectionString connection, CancellationToken ct)
    {
        (string Cause, bool Hopeless)[] found = await Task.WhenAll(connection.Hosts.Select(host => AskAsync(host, ct)));
        return new ZooKeeperDiagnosis([.. found.Select(f => f.Cause)], found.All(f => f.Hopeless));
    }

    private static async Task<(string Cause, bool Hopeless)> AskAsync(ZooKeeperHost host, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(Patience);
        try
        {
            using TcpClient client = new();
            await client.ConnectAsync(host.Host, host.Port, deadline.Token).AsTask().WaitAsync(deadline.Token);
            await client.GetStream().WriteAsync(Question, deadline.Token);
            byte[] answer = new byte[256];
            int length = await client.GetStream().ReadAsync(answer, deadline.Token);
            return Meaning(host.ToString(), Encoding.UTF8.GetString(answer, 0, length));
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TryAgain)
        {
            return ($"{host}: no name server tells its address", false);
        }
        catch (SocketException e)
        {
            return ($"{host}: {e.Message.ToLowerInvariant()}",
                e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.HostNotFound or SocketError.NoData);
        }
        catch (IOException e)
        {
            return ($"{host}: {e.GetBaseException().Message.ToLowerInvariant()}", false);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return ($"{host}: no answer", false);
        }
    }

    internal static (string Cause, bool Hopeless) Meaning(string host, string answer)
        => answer.Length == 0 ? ($"{host}: it closes the connection", false)
            : answer.Contains("not currently serving", StringComparison.Ordinal)
                ? ($"{host}: it is up but does not serve yet: it is starting, or there is no quorum", false)
            : answer.StartsWith("Zookeeper version", StringComparison.OrdinalIgnoreCase)
                || answer.Contains("is not executed", StringComparison.Ordinal)
                ? ($"{host}: it answers, but has given no session yet", false)
            : ($"{host} is not ZooKeeper: it says '{Words.Quoted(answer.Split('\n')[0].Trim())}'", true);
}
