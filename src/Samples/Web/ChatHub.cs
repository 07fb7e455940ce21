using Microsoft.AspNetCore.SignalR;

namespace RedisFailover.Samples.Web;

/// <summary>Whoever is connected, to whichever process of the application, hears what one says.</summary>
internal sealed class ChatHub : Hub
{
    /// <summary>Says it to all.</summary>
    public Task Say(string text) => Clients.All.SendAsync("said", text);
}
