using System.Collections.Immutable;
using System.Net.Sockets;
using System.Security.Authentication;
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

    /// <summary>Asks each server what it is, over a connection made as a session makes it, TLS included.</summary>
    internal static async Task<ZooKeeperDiagnosis> OfAsync(ZooKeeperOptions options, CancellationToken ct)
    {
        (string Cause, bool Hopeless)[] found =
            await Task.WhenAll(options.Connection.Hosts.Select(host => AskAsync(new Dialer(options), host, options.Tls is not null, ct)));
        return new ZooKeeperDiagnosis([.. found.Select(f => f.Cause)], found.All(f => f.Hopeless));
    }

    private static async Task<(string Cause, bool Hopeless)> AskAsync(Dialer dialer, ZooKeeperHost host, bool isTls, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(Patience);
        try
        {
            (Stream stream, _) = await dialer.OpenAsync(host, Patience, deadline.Token);
            await using (stream)
            {
                await stream.WriteAsync(Question, deadline.Token);
                byte[] answer = new byte[256];
                int length = await Dialer.OnThreadOfItsOwnAsync(() => stream.Read(answer), stream, deadline.Token);
                return Meaning(host.ToString(), Encoding.UTF8.GetString(answer, 0, length), isTls);
            }
        }
        catch (AuthenticationException e)
        {
            return ($"{host}: {TlsFault(e.GetBaseException().Message)}", true);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TryAgain)
        {
            return ($"{host}: no name server tells its address", false);
        }
        catch (SocketException e)
        {
            // Its own message ends with the address.
            return ($"{host}: {new SocketException((int)e.SocketErrorCode).Message.ToLowerInvariant()}",
                e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.HostNotFound or SocketError.NoData);
        }
        catch (IOException e)
        {
            return ($"{host}: {e.GetBaseException().Message.ToLowerInvariant()}{(isTls ? "; is that a port without TLS?" : "")}", false);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException && !ct.IsCancellationRequested)
        {
            return ($"{host}: no answer", false);
        }
    }

    /// <summary>In plain words what .NET or OpenSSL says, and that too: it may name more than one fault.</summary>
    internal static string TlsFault(string said)
    {
        (string Word, string Meaning)[] known =
        [
            ("NotTimeValid", "its certificate has expired, or is not valid yet"),
            ("NameMismatch", "its certificate does not carry that name: _TLS_NAME gives another one"),
            ("PartialChain", "its certificate is by an authority that is not trusted: _TLS_CA_FILE names those that are"),
            ("UntrustedRoot", "its certificate is by an authority that is not trusted: _TLS_CA_FILE names those that are"),
            ("NotSignatureValid", "its certificate is by an authority that is not trusted: _TLS_CA_FILE names those that are"),
            ("alert", "it does not accept the certificate that it is shown, or asks for one: _TLS_CERT_FILE, _TLS_KEY_FILE"),
        ];
        string meaning = known.FirstOrDefault(k => said.Contains(k.Word, StringComparison.Ordinal)).Meaning ?? "no TLS with it";
        return $"{meaning.Replace("_TLS", "REDIS_FAILOVER_ZK_TLS", StringComparison.Ordinal)} ({Words.Quoted(said)})";
    }

    internal static (string Cause, bool Hopeless) Meaning(string host, string answer, bool isTls)
        => answer.Length == 0 ? ($"{host}: it closes the connection{(isTls ? "" : "; is that a port with TLS?")}", false)
            : answer.Contains("not currently serving", StringComparison.Ordinal)
                ? ($"{host}: it is up but does not serve yet: it is starting, or there is no quorum", false)
            : answer.StartsWith("Zookeeper version", StringComparison.OrdinalIgnoreCase)
                || answer.Contains("is not executed", StringComparison.Ordinal)
                ? ($"{host}: it answers, but has given no session yet", false)
            : ($"{host} is not ZooKeeper: it says '{Words.Quoted(answer.Split('\n')[0].Trim())}'", true);
}
