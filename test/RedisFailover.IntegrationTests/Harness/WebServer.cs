using System.Net.Sockets;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>A program that speaks HTTP, whatever it is asked.</summary>
internal static class WebServer
{
    public static async Task AnswerAsync(TcpListener listener, CancellationToken ct)
    {
        try
        {
            while (true)
            {
                using Socket peer = await listener.AcceptSocketAsync(ct);
                await AnswerAsync(peer, ct);
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // The test is over.
        }
    }

    private static async Task AnswerAsync(Socket peer, CancellationToken ct)
    {
        try
        {
            await peer.ReceiveAsync(new byte[1024], ct);
            await peer.SendAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray(), ct);
        }
        catch (SocketException)
        {
            // It has gone again.
        }
    }
}
